"""The training loop (AMP): fine-tunes both towers and the fusion head jointly, with early stopping.

Monitored rows are the validation rows of a training: their loss lowers the learning rates, stops
the training and chooses the epoch.
"""

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
from extract.folds.fold_assignment import Plan
from extract.towers.joint_model import JointModel
from extract.training import distributed
from extract.training.optimizer_step import Trainer, train_epoch
from extract.training.out_of_memory import split_if_out_of_memory
from extract.training.resume_training import StateSaver, TrainingState, load_training_state
from extract.training.sync_batch_norm import synchronise_batch_norm
from runtime.errors import UserError
from runtime.progress import log

PLATEAU_FACTOR = 0.3

EMA_DECAY = 0.98
"""Decay of the exponential moving average of the weights: a window of about 50 steps."""

EVALUATION_BATCH_SIZE = 128


def finetune(
    model: JointModel,
    inputs: Inputs,
    label: np.ndarray,
    plan: Plan,
    config: ExtractConfig,
    seed: int,
    state_path: Path | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place on the plan's fitted rows; leave it with the best epoch's weights.

    The best epoch has the lowest loss on the monitored rows. That loss also lowers the learning
    rates (ReduceLROnPlateau) and stops the training. The weights evaluated and returned are a
    moving average. `label` is int (N,), 0 or 1 on the plan's rows; `seed` determines the order of
    the rows, the augmentation and dropout. Between epochs, the state is saved to `state_path`, from
    which an interrupted training resumes. A batch that does not fit into memory is split into
    micro-batches, with the same gradient except that batch statistics are per micro-batch.

    Returns one dict per epoch: epoch, train_loss, monitored_loss, monitored_accuracy, best (0 or
    1). Raises UserError if the training diverges, memory is too small, or the state is damaged.
    """
    targets = torch.from_numpy(label.astype(np.float32)).to(model.machine.device)
    state = _initial_state(model, config)
    load_training_state(state, state_path)
    wrapped_model, saver = _distribute(model), StateSaver(state_path)
    for epoch, batches in _epoch_batches(inputs, plan, config, seed):
        if epoch <= len(state.history):
            continue
        if _should_stop(state.history, config.patience):
            break
        trainer = Trainer(wrapped_model, state, _seed_epoch(seed, epoch))
        loss = train_epoch(trainer, inputs, targets, batches, epoch)
        rows = np.flatnonzero(plan.monitored)
        metrics = _evaluate(state.average_model.module, inputs, targets, rows)
        # Broadcast, so that all ranks decide the same: their results may differ in the last bit.
        _end_epoch(state, epoch, loss, distributed.broadcast_object(metrics))
        saver.save_if_due(state)
    model.load_state_dict(state.best_weights)
    state.history[_best_epoch(state.history) - 1]["best"] = 1
    return state.history


def _initial_state(model: JointModel, config: ExtractConfig) -> TrainingState:
    optimizer = AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)
    device = model.machine.device.type
    return TrainingState(
        model,
        AveragedModel(model, multi_avg_fn=moving_average, use_buffers=True),
        optimizer,
        torch.amp.GradScaler(device, enabled=model.machine.scales_gradients()),
        ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0),
    )


def moving_average(average: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
    """Update an exponential moving average in place. Its decay rises with the steps to EMA_DECAY.

    A `multi_avg_fn` for torch's AveragedModel.
    """
    decay = min(EMA_DECAY, (1 + steps.item()) / (10 + steps.item()))
    get_ema_multi_avg_fn(decay)(average, current, steps)


def _end_epoch(state: TrainingState, epoch: int, loss: float, metrics: dict[str, float]) -> None:
    """Update learning rates and history; copy the weights if this is the best epoch so far."""
    if not np.isfinite(metrics["monitored_loss"]):
        raise UserError(
            f"epoch {epoch}: the monitored loss is {metrics['monitored_loss']}: training "
            "diverged. Lower --lr-image, --lr-text or --lr-fusion."
        )
    state.scheduler.step(metrics["monitored_loss"])
    state.history.append({"epoch": epoch, "train_loss": loss, **metrics, "best": 0})
    if _best_epoch(state.history) == epoch:
        weights = state.average_model.module.state_dict()
        state.best_weights = {name: value.clone() for name, value in weights.items()}
    _log_epoch(state.history[-1])


def _distribute(model: JointModel) -> nn.Module:
    """Wrap the model so that gradients and batch statistics cover all ranks' rows, if several."""
    if distributed.world() == 1:
        return model
    synchronise_batch_norm(model)
    device = model.machine.device
    devices = [device] if device.type == "cuda" else None
    # The graph is static: the same parameters (those of an unused pooler) never get a gradient.
    return DistributedDataParallel(model, device_ids=devices, static_graph=True)


def _seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed dropout for an epoch, differently per rank; return the generator for augmentation."""
    augmentation_seed, dropout_seed = (
        int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])
        for stream in (0, 1 + distributed.rank())
    )
    torch.manual_seed(dropout_seed)
    return torch.Generator().manual_seed(augmentation_seed)


def _epoch_batches(
    inputs: Inputs, plan: Plan, config: ExtractConfig, seed: int
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield each epoch's number, from 1, and its batches of row indices."""
    lengths = inputs.captions.lengths()[inputs.captions.index]
    rows = np.flatnonzero(plan.fitted)
    for epoch in range(config.epochs):
        rng = np.random.default_rng([seed, epoch])
        min_rows = max(2, distributed.world())
        yield epoch + 1, training_batches(rows, lengths, config.batch_size, rng, min_rows)


def parameter_groups(model: JointModel, config: ExtractConfig) -> list[dict]:
    """Return AdamW's groups: one learning rate for each tower and for the fusion head.

    Biases and normalisation weights have no weight decay. Frozen parameters are left out.
    """
    groups = []
    for part, rate in (
        (model.image, config.lr_image),
        (model.text, config.lr_text),
        (model.fusion, config.lr_fusion),
    ):
        trainable = [value for value in part.parameters() if value.requires_grad]
        matrices = [value for value in trainable if value.ndim > 1]
        vectors = [value for value in trainable if value.ndim <= 1]
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
    batches = [
        rows[i : i + EVALUATION_BATCH_SIZE] for i in range(0, len(rows), EVALUATION_BATCH_SIZE)
    ]

    def compute(batch: np.ndarray) -> Tensor:
        return model(inputs.pixels(batch), *inputs.tokens(batch))

    logits = torch.cat([split_if_out_of_memory(compute, batch) for batch in batches])
    labels = targets[rows]
    return {
        "monitored_loss": binary_cross_entropy_with_logits(logits, labels).item(),
        "monitored_accuracy": ((logits > 0) == labels.bool()).float().mean().item(),
    }


def _should_stop(history: list[dict[str, float]], patience: int) -> bool:
    return bool(history) and len(history) - _best_epoch(history) >= patience


def _best_epoch(history: list[dict[str, float]]) -> int:
    return min(history, key=lambda past: past["monitored_loss"])["epoch"]


def _log_epoch(epoch: dict[str, float]) -> None:
    log(
        f"epoch {epoch['epoch']}: loss {epoch['train_loss']:.4f}, "
        f"monitored loss {epoch['monitored_loss']:.4f}, "
        f"accuracy {epoch['monitored_accuracy']:.3f}"
    )
