"""The AMP loop: both towers and the fusion head, fine-tuned jointly."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from extract.augment import augment
from extract.config import ExtractConfig
from extract.groups import Plan
from extract.inputs import Inputs, training_batches
from extract.model import JointModel
from features.errors import UserError
from features.progress import progress, say

MAX_GRADIENT_NORM = 1.0
PLATEAU_FACTOR = 0.3
AVERAGE_DECAY = 0.98
"""The model kept is a moving average of the weights, over about 50 steps."""
EVALUATION_BATCH = 128


def finetune(
    model: JointModel,
    inputs: Inputs,
    label: np.ndarray,
    plan: Plan,
    config: ExtractConfig,
    seed: int,
) -> list[dict[str, float]]:
    """Fit `model` in place on the plan's fitted rows and leave it at its best epoch.

    The loss on the monitored rows lowers the learning rates (ReduceLROnPlateau), stops the
    training and names the best epoch. `label` is int (N,), 0 or 1 on the plan's rows; `seed` fixes
    the order of the rows.

    Returns one dict an epoch: epoch, train_loss, monitored_loss, monitored_accuracy, best (0 or 1).
    """
    targets = torch.from_numpy(label.astype(np.float32)).to(model.machine.device)
    groups = _parameter_groups(model, config)
    optimizer = AdamW(groups, weight_decay=config.weight_decay, fused=True)
    scaler = torch.amp.GradScaler(
        model.machine.device.type, enabled=model.machine.scales_gradients()
    )
    plateau = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0)
    average = AveragedModel(model, multi_avg_fn=_moving_average, use_buffers=True)
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    for epoch, batches in enumerate(_epochs(inputs, plan, config, seed), start=1):
        loss = _train_epoch(model, average, inputs, targets, batches, optimizer, scaler, epoch)
        monitored = _evaluate(average.module, inputs, targets, np.flatnonzero(plan.monitored))
        if not np.isfinite(monitored["monitored_loss"]):
            raise UserError(
                f"epoch {epoch}: the monitored loss is {monitored['monitored_loss']}: training "
                "diverged. Lower --lr-image, --lr-text or --lr-fusion."
            )
        plateau.step(monitored["monitored_loss"])
        history.append({"epoch": epoch, "train_loss": loss, **monitored, "best": 0})
        if _best_epoch(history) == epoch:
            best = {name: value.clone() for name, value in average.module.state_dict().items()}
        _announce(history[-1])
        if epoch - _best_epoch(history) >= config.patience:
            break
    model.load_state_dict(best)
    history[_best_epoch(history) - 1]["best"] = 1
    return history


def _epochs(
    inputs: Inputs, plan: Plan, config: ExtractConfig, seed: int
) -> Iterator[list[np.ndarray]]:
    lengths = inputs.captions.lengths()[inputs.captions.index]
    rows = np.flatnonzero(plan.fitted)
    for epoch in range(config.epochs):
        rng = np.random.default_rng([seed, epoch])
        yield training_batches(rows, lengths, config.batch_size, rng)


def _moving_average(average: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Exponential moving average whose window grows with the steps made, up to AVERAGE_DECAY's."""
    decay = min(AVERAGE_DECAY, (1 + steps.item()) / (10 + steps.item()))
    get_ema_multi_avg_fn(decay)(average, current, steps)


def _parameter_groups(model: JointModel, config: ExtractConfig) -> list[dict]:
    """A learning rate for each part; no weight decay on biases and normalisation weights."""
    groups = []
    for part, rate in (
        (model.image, config.lr_image),
        (model.text, config.lr_text),
        (model.fusion, config.lr_fusion),
    ):
        matrices = [value for value in part.parameters() if value.ndim > 1]
        vectors = [value for value in part.parameters() if value.ndim <= 1]
        groups.append({"params": matrices, "lr": rate})
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _train_epoch(
    model: JointModel,
    average: AveragedModel,
    inputs: Inputs,
    targets: Tensor,
    batches: list[np.ndarray],
    optimizer: AdamW,
    scaler: torch.amp.GradScaler,
    epoch: int,
) -> float:
    """One pass over the batches; returns the mean loss a meme."""
    model.train()
    total, count = torch.zeros((), device=targets.device), sum(map(len, batches))
    with progress(f"epoch {epoch}", count, "memes") as advance:
        for rows in batches:
            logits = model(augment(inputs.pixels(rows)), *inputs.tokens(rows))
            loss = binary_cross_entropy_with_logits(logits, targets[rows])
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            scaler.step(optimizer)
            scaler.update()
            average.update_parameters(model)
            total += loss.detach() * len(rows)
            advance(len(rows))
    return total.item() / count


@torch.inference_mode()
def _evaluate(
    model: JointModel, inputs: Inputs, targets: Tensor, rows: np.ndarray
) -> dict[str, float]:
    model.eval()
    lengths = inputs.captions.lengths()[inputs.captions.index[rows]]
    rows = rows[np.argsort(lengths, kind="stable")]
    parts = [rows[i : i + EVALUATION_BATCH] for i in range(0, len(rows), EVALUATION_BATCH)]
    logits = torch.cat([model(inputs.pixels(part), *inputs.tokens(part)) for part in parts])
    truth = targets[rows]
    return {
        "monitored_loss": binary_cross_entropy_with_logits(logits, truth).item(),
        "monitored_accuracy": ((logits > 0) == truth.bool()).float().mean().item(),
    }


def _best_epoch(history: list[dict[str, float]]) -> int:
    return min(history, key=lambda past: past["monitored_loss"])["epoch"]


def _announce(epoch: dict[str, float]) -> None:
    say(
        f"epoch {epoch['epoch']}: loss {epoch['train_loss']:.4f}, "
        f"monitored loss {epoch['monitored_loss']:.4f}, "
        f"accuracy {epoch['monitored_accuracy']:.3f}"
    )
