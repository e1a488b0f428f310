"""The training loop (AMP): fine-tunes both towers and the fusion head jointly.

With the cosine schedule, all epochs are run and nothing is chosen. With plateau, the loss on
monitored rows, the validation rows of the training, lowers the learning rates, stops the training
and chooses the epoch.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from extract.config import ExtractConfig
from extract.data.batches import Inputs, training_batches
from extract.folds.fold_assignment import Plan
from extract.towers.joint_model import JointModel
from extract.towers.trained_layers import default_learning_rate
from extract.training import distributed
from extract.training.optimizer_step import Trainer, train_epoch
from extract.training.out_of_memory import split_if_out_of_memory
from extract.training.resume_training import StateSaver, TrainingState, load_training_state
from extract.training.schedules import create_scheduler
from runtime.errors import UserError
from runtime.progress import log

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
    """Train `model` in place on the plan's fitted rows.

    With the cosine schedule, the model ends with the weights of the last epoch; with plateau, with
    those of the best one, which has the lowest loss on the monitored rows. `label` is int (N,), 0
    or 1 on the plan's rows; `seed` determines the order of the rows, the augmentation and dropout.
    Between epochs, the state is saved to `state_path`, from which an interrupted training resumes.
    A batch that does not fit into memory is split into micro-batches, with the same gradient.

    Returns one dict per epoch: epoch, train_loss, eval_loss and eval_accuracy on the plan's
    evaluated rows, best (0 or 1). Raises UserError if the training diverges, memory is too small,
    or the state is damaged.
    """
    targets = torch.from_numpy(label.astype(np.float32)).to(model.machine.device)
    epochs = _epoch_batches(inputs, plan, config, seed)
    state = _initial_state(model, config, sum(len(batches) for batches in epochs))
    load_training_state(state, state_path)
    wrapped_model, saver = _distribute(model), StateSaver(state_path)
    for epoch, batches in enumerate(epochs, start=1):
        if epoch <= len(state.history):
            continue
        if state.plateau and _should_stop(state.history, config.patience):
            break
        trainer = Trainer(wrapped_model, state, _seed_epoch(seed, epoch))
        loss = train_epoch(trainer, inputs, targets, batches, epoch)
        metrics = _evaluate(model, inputs, targets, np.flatnonzero(plan.evaluated))
        # Broadcast, so that all ranks decide the same: their results may differ in the last bit.
        _end_epoch(state, epoch, loss, distributed.broadcast_object(metrics))
        saver.save_if_due(state)
    if state.plateau:
        model.load_state_dict(state.best_weights)
        state.history[_best_epoch(state.history) - 1]["best"] = 1
    else:
        state.history[-1]["best"] = 1
    return state.history


def _initial_state(model: JointModel, config: ExtractConfig, steps: int) -> TrainingState:
    optimizer = AdamW(parameter_groups(model, config), weight_decay=config.weight_decay, fused=True)
    device = model.machine.device.type
    return TrainingState(
        model,
        optimizer,
        torch.amp.GradScaler(device, enabled=model.machine.scales_gradients()),
        create_scheduler(config.schedule, optimizer, steps),
    )


def _end_epoch(state: TrainingState, epoch: int, loss: float, metrics: dict[str, float]) -> None:
    """Update the history; with plateau, also the learning rates and the best epoch's weights."""
    if not np.isfinite([loss, metrics["eval_loss"]]).all():
        raise UserError(
            f"epoch {epoch}: the training loss is {loss} and the evaluated loss "
            f"{metrics['eval_loss']}: training diverged. Lower --lr-image, --lr-text or "
            "--lr-fusion."
        )
    state.history.append({"epoch": epoch, "train_loss": loss, **metrics, "best": 0})
    if state.plateau:
        state.scheduler.step(metrics["eval_loss"])
        if _best_epoch(state.history) == epoch:
            weights = state.model.state_dict()
            state.best_weights = {name: value.clone() for name, value in weights.items()}
    _log_epoch(state.history[-1])


def _distribute(model: JointModel) -> nn.Module:
    """Wrap the model so that gradients cover all ranks' rows, if there are several ranks."""
    if distributed.world() == 1:
        return model
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
) -> list[list[np.ndarray]]:
    """Return each epoch's batches of row indices."""
    lengths = inputs.captions.lengths()[inputs.captions.index]
    rows, min_rows = np.flatnonzero(plan.fitted), max(2, distributed.world())
    return [
        training_batches(
            rows, lengths, config.batch_size, np.random.default_rng([seed, epoch]), min_rows
        )
        for epoch in range(config.epochs)
    ]


def parameter_groups(model: JointModel, config: ExtractConfig) -> list[dict]:
    """Return AdamW's groups: one learning rate for each tower and for the fusion head.

    Biases and normalisation weights have no weight decay. Frozen parameters are left out.
    """
    groups = []
    for part, rate in (
        (model.image, _rate(model.image, config.lr_image)),
        (model.text, _rate(model.text, config.lr_text)),
        (model.fusion, config.lr_fusion),
    ):
        trainable = [value for value in part.parameters() if value.requires_grad]
        matrices = [value for value in trainable if value.ndim > 1]
        vectors = [value for value in trainable if value.ndim <= 1]
        groups.append({"params": matrices, "lr": rate})
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _rate(tower: nn.Module, rate: float | None) -> float:
    return default_learning_rate(tower) if rate is None else rate


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
        "eval_loss": binary_cross_entropy_with_logits(logits, labels).item(),
        "eval_accuracy": ((logits > 0) == labels.bool()).float().mean().item(),
    }


def _should_stop(history: list[dict[str, float]], patience: int) -> bool:
    return bool(history) and len(history) - _best_epoch(history) >= patience


def _best_epoch(history: list[dict[str, float]]) -> int:
    return min(history, key=lambda past: past["eval_loss"])["epoch"]


def _log_epoch(epoch: dict[str, float]) -> None:
    log(
        f"epoch {epoch['epoch']}: loss {epoch['train_loss']:.4f}, "
        f"evaluated loss {epoch['eval_loss']:.4f}, accuracy {epoch['eval_accuracy']:.3f}"
    )
