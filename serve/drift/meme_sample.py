"""A random sample of the distinct memes of a batch, in bounded memory.

Bottom-k sampling (Cohen and Kaplan 2007, Summarizing Data using Bottom-k Sketches): the memes with
the smallest hashes are kept. So copies of a meme count once, neither order nor parts matter, and
memes that are added again after an interruption change nothing. In the end, each caption counts
once (`one_per_caption`).
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from runtime.files.array_files import read_arrays
from runtime.files.atomic_files import atomic_write
from serve.drift.meme_quantities import QUANTITIES, one_per_caption

MAX_MEMES = 10_000
"""Most memes that are kept."""


@dataclass
class MemeSample:
    """The quantities of at most MAX_MEMES distinct memes."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    """uint64 (n,): hashes of the memes, ascending."""
    captions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    """uint64 (n,): see `caption_keys`."""
    quantities: np.ndarray = field(default_factory=lambda: np.zeros((0, len(QUANTITIES))))
    """float64 (n, 4)."""

    def compared(self) -> np.ndarray:
        """Return the quantities of one meme for each caption: float64 (m, 4)."""
        return self.quantities[one_per_caption(self.captions)]

    def add(self, keys: np.ndarray, captions: np.ndarray, quantities: np.ndarray) -> None:
        """Add memes, as `Measures.measure` returns them."""
        together = np.concatenate([self.keys, keys])
        self.keys, places = np.unique(together, return_index=True)
        self.keys, places = self.keys[:MAX_MEMES], places[:MAX_MEMES]
        self.captions = np.concatenate([self.captions, captions])[places]
        self.quantities = np.concatenate([self.quantities, quantities])[places]

    def save(self, path: Path) -> None:
        """Write one npz file."""
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: Path, remedy: str) -> Self:
        """Read what `save` wrote. Raises UserError, which ends with `remedy`, if it is damaged."""
        return cls(**read_arrays(path, tuple(cls.__annotations__), remedy))
