"""A random sample of the distinct memes of a batch, in bounded memory.

Bottom-k sampling (Cohen and Kaplan 2007, Summarizing Data using Bottom-k Sketches): the memes with
the smallest hashes are kept. So copies of a meme count once, neither order nor parts matter, and
memes that are added again after an interruption change nothing.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from runtime.array_files import read_arrays
from runtime.atomic_files import atomic_write
from serve.drift.meme_quantities import QUANTITIES

MAX_MEMES = 10_000
"""Most memes that are kept."""


@dataclass
class MemeSample:
    """The quantities of at most MAX_MEMES distinct memes."""

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    """uint64 (n,): hashes of the memes, ascending."""
    quantities: np.ndarray = field(default_factory=lambda: np.zeros((0, len(QUANTITIES))))
    """float64 (n, 4)."""

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, keys: np.ndarray, quantities: np.ndarray) -> None:
        """Add memes, as `Measures.measure` returns them."""
        together = np.concatenate([self.keys, keys])
        self.keys, places = np.unique(together, return_index=True)
        self.keys, places = self.keys[:MAX_MEMES], places[:MAX_MEMES]
        self.quantities = np.concatenate([self.quantities, quantities])[places]

    def save(self, path: Path) -> None:
        """Write one npz file."""
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: Path, remedy: str) -> Self:
        """Read what `save` wrote. Raises UserError, which ends with `remedy`, if it is damaged."""
        return cls(**read_arrays(path, tuple(cls.__annotations__), remedy))
