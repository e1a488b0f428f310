"""The AMP loop: both towers and the fusion head, fine-tuned jointly."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from extract import ranks
from extract.augment import augment
from extract.config import ExtractConfig
from extract.groups import Plan
from extract.inputs import Inputs, training_batches
from extract.model import JointModel
from extract.sync_norm import share_statistics
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
    optimizer = AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)
    scaler = torch.amp.GradScaler(
        model.machine.device.type, enabled=model.machine.scales_gradients()
    )
    plateau = ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0)
    trained = _on_all_ranks(model)
    average = AveragedModel(model, multi_avg_fn=moving_average, use_buffers=True)
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    for epoch, batches in enumerate(_epochs(inputs, plan, config, seed), start=1):
        views = _seed_epoch(seed, epoch)
        step = _Step(trained, model, average, optimizer, scaler, views)
        loss = _train_epoch(step, inputs, targets, batches, epoch)
        rows = np.flatnonzero(plan.monitored)
        # Ranks must agree on what comes next, to the last bit.
        monitored = ranks.agreed(_evaluate(average.module, inputs, targets, rows))
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


class _Step(NamedTuple):
    """What a training step changes, and what it draws its views from."""

    trained: nn.Module
    """`model`, or what makes its gradients those of all ranks."""
    model: JointModel
    average: AveragedModel
    optimizer: AdamW
    scaler: torch.amp.GradScaler
    views: torch.Generator


def _on_all_ranks(model: JointModel) -> nn.Module:
    """Gradients and batch statistics over all ranks' rows, if there are several."""
    if ranks.world() == 1:
        return model
    share_statistics(model)
    device = model.machine.device
    devices = [device] if device.type == "cuda" else None
    # The graph is static: a pooler that gets no gradient never does.
    return DistributedDataParallel(model, device_ids=devices, static_graph=True)


def _seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed an epoch's dropout, of each rank by its own; returns what all ranks' views come from."""
    views, dropout = (
        int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])
        for stream in (0, 1 + ranks.rank())
    )
    torch.manual_seed(dropout)
    return torch.Generator().manual_seed(views)


def _epochs(
    inputs: Inputs, plan: Plan, config: ExtractConfig, seed: int
) -> Iterator[list[np.ndarray]]:
    lengths = inputs.captions.lengths()[inputs.captions.index]
    rows = np.flatnonzero(plan.fitted)
    for epoch in range(config.epochs):
        rng = np.random.default_rng([seed, epoch])
        yield training_batches(rows, lengths, config.batch_size, rng, max(2, ranks.world()))


def moving_average(average: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Exponential moving average whose window grows with the steps made, up to AVERAGE_DECAY's."""
    decay = min(AVERAGE_DECAY, (1 + steps.item()) / (10 + steps.item()))
    get_ema_multi_avg_fn(decay)(average, current, steps)


def parameter_groups(model: JointModel, config: ExtractConfig) -> list[dict]:
    """A learning rate for each part; no weight decay on biases and normalisation weights."""
    groups = []
    for part, rate in (
        (model.image, config.lr_image),
        (model.text, config.lr_text),
        (model.fusion, config.lr_fusion),
    ):
        learnt = [value for value in part.parameters() if value.requires_grad]
        matrices = [value for value in learnt if value.ndim > 1]
        vectors = [value for value in learnt if value.ndim <= 1]
        groups.append({"params": matrices, "lr": rate})
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _train_epoch(
    step: _Step, inputs: Inputs, targets: Tensor, batches: list[np.ndarray], epoch: int
) -> float:
    """One pass over the batches; returns the mean loss a meme."""
    step.model.train()
    total, count = torch.zeros((), device=targets.device), sum(map(len, batches))
    with progress(f"epoch {epoch}", count, "memes") as advance:
        for rows in batches:
            total += _train_batch(step, inputs, targets, rows)
            advance(len(rows))
    return ranks.summed(total).item() / count


def _train_batch(step: _Step, inputs: Inputs, targets: Tensor, rows: np.ndarray) -> Tensor:
    """One step on the batch of which this rank takes its share; returns the share's summed loss."""
    own = slice(ranks.rank(), None, ranks.world())
    # All ranks draw all views, so that a picture's does not depend on how many ranks there are.
    views = augment(inputs.pixels(rows), step.views)[own]
    logits = step.trained(views, *inputs.tokens(rows[own]))
    loss = binary_cross_entropy_with_logits(logits, targets[rows[own]], reduction="sum")
    step.optimizer.zero_grad(set_to_none=True)
    # Gradients are averaged over ranks, and must be those of the whole batch's mean.
    step.scaler.scale(loss * (ranks.world() / len(rows))).backward()
    step.scaler.unscale_(step.optimizer)
    nn.utils.clip_grad_norm_(step.model.parameters(), MAX_GRADIENT_NORM)
    step.scaler.step(step.optimizer)
    step.scaler.update()
    step.average.update_parameters(step.model)
    return loss.detach()


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
