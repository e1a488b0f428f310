"""A multilayer perceptron in torch."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from heads.base import Head

HIDDEN = 64
BATCH = 128


class MlpHead(Head):
    """One hidden layer, dropout, AdamW with a rate that falls to zero over `epochs`."""

    GRID: ClassVar = [{"epochs": 6}, {"epochs": 24}]

    def __init__(self, image_width: int = 0, seed: int = 0, epochs: int = 6) -> None:
        self.image_width = image_width
        self.seed = seed
        self.epochs = epochs

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        rows = torch.from_numpy(np.ascontiguousarray(X)).float(), torch.from_numpy(y).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.module_ = _module(X.shape[1], float(np.sqrt((X**2).mean())))
            self._train(*rows)
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
        head = cls()
        head.module_ = _module(weights["1.weight"].shape[1], 1.0).double().eval()
        head.module_.load_state_dict(weights)
        head.classes_ = np.array([0, 1])
        return head

    def _train(self, X: Tensor, y: Tensor) -> None:
        batches = -(-len(X) // BATCH)
        optimizer = torch.optim.AdamW(self.module_.parameters(), lr=3e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * batches)
        self.module_.train()
        for _ in range(self.epochs):
            for batch in torch.randperm(len(X)).split(BATCH):
                loss = binary_cross_entropy_with_logits(self.module_(X[batch])[:, 0], y[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()


class _Scale(nn.Module):
    """Divide by one number, saved with the weights: columns keep their relative sizes."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, X: Tensor) -> Tensor:
        return X / self.scale


def _module(columns: int, scale: float) -> nn.Sequential:
    return nn.Sequential(
        _Scale(max(scale, 1e-6)),
        nn.Linear(columns, HIDDEN),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, 1),
    )
