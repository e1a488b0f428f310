"""The AMP loop: both towers and the fusion head, fine-tuned jointly."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from extract.config import ExtractConfig
from extract.data.batches import Inputs, training_batches
from extract.duplicates.folds import Plan
from extract.towers.joint_model import JointModel
from extract.training import distributed
from extract.training.optimizer_step import Step, train_epoch
from extract.training.out_of_memory import as_memory_allows
from extract.training.sync_batch_norm import share_statistics
from extract.training.training_state import StateSaver, Training, load_training
from runtime.errors import UserError
from runtime.progress import log

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
    state: Path | None = None,
) -> list[dict[str, float]]:
    """Fit `model` in place on the plan's fitted rows and leave it at its best epoch.

    The loss on the monitored rows lowers the learning rates (ReduceLROnPlateau), stops the
    training and names the best epoch. `label` is int (N,), 0 or 1 on the plan's rows; `seed` fixes
    the order of the rows. Between epochs all is written to the file `state`, and a training that
    was broken off goes on from what lies there. A batch that the device has no memory for goes
    through in parts, with the same gradient but for batch statistics, which are each part's own.

    Returns one dict an epoch: epoch, train_loss, monitored_loss, monitored_accuracy, best (0 or 1).
    """
    targets = torch.from_numpy(label.astype(np.float32)).to(model.machine.device)
    training = _begin(model, config)
    load_training(training, state)
    trained, keeper = _on_all_ranks(model), StateSaver(state)
    for epoch, batches in _epochs(inputs, plan, config, seed):
        if epoch <= len(training.history):
            continue
        if _is_over(training.history, config.patience):
            break
        step = Step(trained, training, _seed_epoch(seed, epoch))
        loss = train_epoch(step, inputs, targets, batches, epoch)
        rows = np.flatnonzero(plan.monitored)
        # Ranks must agree on what comes next, to the last bit.
        monitored = distributed.agreed(_evaluate(training.average.module, inputs, targets, rows))
        _end_epoch(training, epoch, loss, monitored)
        keeper.keep(training)
    model.load_state_dict(training.best)
    training.history[_best_epoch(training.history) - 1]["best"] = 1
    return training.history


def _begin(model: JointModel, config: ExtractConfig) -> Training:
    optimizer = AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)
    device = model.machine.device.type
    return Training(
        model,
        AveragedModel(model, multi_avg_fn=moving_average, use_buffers=True),
        optimizer,
        torch.amp.GradScaler(device, enabled=model.machine.scales_gradients()),
        ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0),
    )


def moving_average(average: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Exponential moving average whose window grows with the steps made, up to AVERAGE_DECAY's."""
    decay = min(AVERAGE_DECAY, (1 + steps.item()) / (10 + steps.item()))
    get_ema_multi_avg_fn(decay)(average, current, steps)


def _end_epoch(training: Training, epoch: int, loss: float, monitored: dict[str, float]) -> None:
    """Note how the epoch went, keep the weights if it was the best, lower the learning rates."""
    if not np.isfinite(monitored["monitored_loss"]):
        raise UserError(
            f"epoch {epoch}: the monitored loss is {monitored['monitored_loss']}: training "
            "diverged. Lower --lr-image, --lr-text or --lr-fusion."
        )
    training.plateau.step(monitored["monitored_loss"])
    training.history.append({"epoch": epoch, "train_loss": loss, **monitored, "best": 0})
    if _best_epoch(training.history) == epoch:
        weights = training.average.module.state_dict()
        training.best = {name: value.clone() for name, value in weights.items()}
    _announce(training.history[-1])


def _on_all_ranks(model: JointModel) -> nn.Module:
    """Gradients and batch statistics over all ranks' rows, if there are several."""
    if distributed.world() == 1:
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
        for stream in (0, 1 + distributed.rank())
    )
    torch.manual_seed(dropout)
    return torch.Generator().manual_seed(views)


def _epochs(
    inputs: Inputs, plan: Plan, config: ExtractConfig, seed: int
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Number, from 1, and batches of each epoch."""
    lengths = inputs.captions.lengths()[inputs.captions.index]
    rows = np.flatnonzero(plan.fitted)
    for epoch in range(config.epochs):
        rng = np.random.default_rng([seed, epoch])
        fewest = max(2, distributed.world())
        yield epoch + 1, training_batches(rows, lengths, config.batch_size, rng, fewest)


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


@torch.inference_mode()
def _evaluate(
    model: JointModel, inputs: Inputs, targets: Tensor, rows: np.ndarray
) -> dict[str, float]:
    model.eval()
    lengths = inputs.captions.lengths()[inputs.captions.index[rows]]
    rows = rows[np.argsort(lengths, kind="stable")]
    parts = [rows[i : i + EVALUATION_BATCH] for i in range(0, len(rows), EVALUATION_BATCH)]

    def work(part: np.ndarray) -> Tensor:
        return model(inputs.pixels(part), *inputs.tokens(part))

    logits = torch.cat([as_memory_allows(work, part) for part in parts])
    truth = targets[rows]
    return {
        "monitored_loss": binary_cross_entropy_with_logits(logits, truth).item(),
        "monitored_accuracy": ((logits > 0) == truth.bool()).float().mean().item(),
    }


def _is_over(history: list[dict[str, float]], patience: int) -> bool:
    return bool(history) and len(history) - _best_epoch(history) >= patience


def _best_epoch(history: list[dict[str, float]]) -> int:
    return min(history, key=lambda past: past["monitored_loss"])["epoch"]


def _announce(epoch: dict[str, float]) -> None:
    log(
        f"epoch {epoch['epoch']}: loss {epoch['train_loss']:.4f}, "
        f"monitored loss {epoch['monitored_loss']:.4f}, "
        f"accuracy {epoch['monitored_accuracy']:.3f}"
    )
