"""The last memes of the service, compared with the held-out ones when somebody asks."""

import threading
from typing import TYPE_CHECKING

import numpy as np

from serve.drift.batch_drift import DriftCheck
from serve.drift.drift_tests import Comparison, compare
from serve.drift.meme_quantities import one_per_caption

if TYPE_CHECKING:
    from features.feature_table import FeatureTable

MAX_MEMES = 1_000


class RecentMemes:
    """The last MAX_MEMES distinct memes. Threads may share it."""

    def __init__(self, check: DriftCheck) -> None:
        self._check = check
        self._memes: dict[int, tuple[int, np.ndarray]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._memes)

    def add(self, captions: list[str], table: "FeatureTable", probability: np.ndarray) -> None:
        """Add memes: see Measures.measure. Those with a NaN probability are left out."""
        keys, caption_keys, quantities = self._check.measures.measure(captions, table, probability)
        with self._lock:
            hashes = keys.tolist(), caption_keys.tolist()
            for key, caption, row in zip(*hashes, quantities, strict=True):
                if not np.isnan(row[0]):
                    self._memes.pop(key, None)  # it is the last one again
                    self._memes[key] = caption, row
            for key in list(self._memes)[: max(0, len(self._memes) - MAX_MEMES)]:
                del self._memes[key]

    def compare(self) -> list[Comparison]:
        """Compare them with the held-out memes; see `drift_tests.compare`."""
        with self._lock:
            memes = list(self._memes.values())
        if not memes:
            return []
        captions, rows = zip(*memes, strict=True)
        chosen = one_per_caption(np.array(captions, dtype=np.uint64))
        return compare(self._check.held_out, np.stack(rows)[chosen])
