"""Start a training from a linear probe: logistic regression on the towers as downloaded.

Linear probing, then fine-tuning: a fusion head that starts at random first distorts what the towers
know (Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features).
"""

from typing import NamedTuple

import numpy as np
import torch

from extract.data.batches import Inputs
from extract.towers.fusion import Fusion
from extract.towers.joint_model import JointModel
from extract.training.embedding import embed_in_memory

MAX_ROWS = 10_000
"""More rows do not change a probe noticeably, and all embeddings are in memory."""

C = 0.3
"""Inverse regularisation strength of the logistic regression."""


class ProbeEmbeddings(NamedTuple):
    """Embeddings of the towers as downloaded, of the rows that a probe may be fitted on."""

    rows: np.ndarray
    """int (R,): row numbers, ascending."""
    image: np.ndarray
    """float32 (R, image width)."""
    text: np.ndarray
    """float32 (R, text width)."""


def embed_for_probe(model: JointModel, inputs: Inputs, usable: np.ndarray) -> ProbeEmbeddings:
    """Embed at most MAX_ROWS rows of `usable`, bool (N,), evenly spaced. All ranks must call it."""
    rows = np.flatnonzero(usable)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MAX_ROWS)).astype(int)]
    return ProbeEmbeddings(rows, **embed_in_memory(model, inputs.subset(rows)))


def start_from_probe(
    fusion: Fusion, embeddings: ProbeEmbeddings, label: np.ndarray, fitted: np.ndarray
) -> None:
    """Fit the probe on the `fitted` rows, bool (N,); copy its weights to the fusion's linear layer.

    `label` is int (N,). Also standardises both embeddings for the whole fusion head.
    """
    # Imported here: predicting does not need it, and must start fast.
    from sklearn.linear_model import LogisticRegression

    chosen = fitted[embeddings.rows]
    device = fusion.linear.weight.device
    image, text = (
        torch.from_numpy(values[chosen]).to(device)
        for values in (embeddings.image, embeddings.text)
    )
    with torch.no_grad():
        columns = fusion.linear_columns(fusion.image.fit(image), fusion.text.fit(text))
        probe = LogisticRegression(C=C, max_iter=1000)
        probe.fit(columns.cpu().numpy().astype(np.float64), label[embeddings.rows][chosen])
        fusion.linear.weight.copy_(torch.from_numpy(probe.coef_))
        fusion.linear.bias.copy_(torch.from_numpy(probe.intercept_))
