"""A multilayer perceptron on standardised features, in torch."""

from copy import deepcopy
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from heads.base import Head

HIDDEN = 64
EPOCHS = 30
PATIENCE = 4
BATCH = 128


class MlpHead(Head):
    """One hidden layer, dropout, AdamW; the best epoch on `eval_set` is kept."""

    GRID: ClassVar = [{"learning_rate": 3e-4}, {"learning_rate": 1e-3}]
    stops_early: ClassVar = True

    def __init__(self, image_width: int = 0, seed: int = 0, learning_rate: float = 3e-4) -> None:
        self.image_width = image_width
        self.seed = seed
        self.learning_rate = learning_rate

    def fit(
        self, X: np.ndarray, y: np.ndarray, eval_set: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Self:
        """Fit on X float (N, columns) and y int (N,); `eval_set` decides when to stop."""
        self.classes_ = np.unique(y)
        scale = np.maximum(X.std(axis=0), 1e-6)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.module_ = _module(X.shape[1], X.mean(axis=0), scale)
            self._train(_tensors(X, y), _tensors(*eval_set) if eval_set else None)
        # In double precision, a probability does not depend on its neighbours in the batch.
        self.module_.double().eval()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """float64 (N, 2)."""
        with torch.inference_mode():
            positive = torch.sigmoid(self.module_(torch.from_numpy(X).double())[:, 0]).numpy()
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        save_file(self.module_.state_dict(), folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; ready to predict."""
        weights = load_file(folder / "weights.safetensors")
        columns = weights["1.weight"].shape[1]
        head = cls()
        head.module_ = _module(columns, np.zeros(columns), np.ones(columns)).double().eval()
        head.module_.load_state_dict(weights)
        head.classes_ = np.array([0, 1])
        return head

    def _train(self, rows: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor] | None) -> None:
        optimizer = torch.optim.AdamW(
            self.module_.parameters(), lr=self.learning_rate, weight_decay=0.1
        )
        best_loss, best_state, waited = float("inf"), None, 0
        for _ in range(EPOCHS):
            self._epoch(rows, optimizer)
            if held is None:
                continue
            loss = self._loss(held)
            waited = 0 if loss < best_loss else waited + 1
            if loss < best_loss:
                best_loss, best_state = loss, deepcopy(self.module_.state_dict())
            if waited == PATIENCE:
                break
        if best_state is not None:
            self.module_.load_state_dict(best_state)

    def _epoch(self, rows: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer) -> None:
        X, y = rows
        self.module_.train()
        for batch in torch.randperm(len(X)).split(BATCH):
            loss = binary_cross_entropy_with_logits(self.module_(X[batch])[:, 0], y[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    def _loss(self, rows: tuple[Tensor, Tensor]) -> float:
        self.module_.eval()
        with torch.inference_mode():
            return binary_cross_entropy_with_logits(self.module_(rows[0])[:, 0], rows[1]).item()


class _Standardise(nn.Module):
    """(X - mean) / scale, saved with the weights."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def forward(self, X: Tensor) -> Tensor:
        return (X - self.mean) / self.scale


def _module(columns: int, mean: np.ndarray, scale: np.ndarray) -> nn.Sequential:
    return nn.Sequential(
        _Standardise(mean, scale),
        nn.Linear(columns, HIDDEN),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, 1),
    )


def _tensors(X: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.ascontiguousarray(X)).float(), torch.from_numpy(y).float()
