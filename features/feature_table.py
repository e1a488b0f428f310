"""The one type that crosses the seam between the stages. numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")

FINE_TUNED = "fine-tuned"


@dataclass(frozen=True)
class Rows:
    """What is known of each meme, whatever the space. Arrays of length N."""

    id: np.ndarray
    """object of str."""
    split: np.ndarray
    """object of str: train, val or test."""
    label: np.ndarray
    """int8: 0, 1, or -1 = unknown."""
    group: np.ndarray
    """int32: near-duplicates share a number."""
    fold: np.ndarray
    """int16: -1 for test rows."""
    order: np.ndarray
    """int32: place in solution.csv, -1 = not asked for."""

    def __len__(self) -> int:
        return len(self.id)

    @property
    def labelled(self) -> np.ndarray:
        """bool (N,): train and val rows. Test labels, if known, are for scoring only."""
        return self.split != "test"


@dataclass(frozen=True)
class Space:
    """The embeddings of one pair of backbones. Spaces share no coordinates: never mix them."""

    name: str
    """space_0, space_1 ... were fine-tuned, each without its fold; `pretrained` and `lexical` were
    fitted on no labels."""
    image: np.ndarray
    """float32 (N, image width)."""
    text: np.ndarray
    """float32 (N, text width)."""
    joint_logit: np.ndarray | None
    """float32 (N,): logit of the fusion head that the backbones were fine-tuned with, if any."""
    seen: np.ndarray
    """bool (N,): the backbones were fitted on this row."""
    monitored: np.ndarray
    """bool (N,): the backbones' epoch was chosen on this row."""
    attributes: dict[str, Any]
    """Backbones, revisions, pooling, sizes, training history."""

    @property
    def kind(self) -> str:
        """Spaces of one kind are made alike, and fit to be averaged."""
        return FINE_TUNED if self.name.startswith("space_") else self.name

    @property
    def untouched(self) -> np.ndarray:
        """bool (N,): rows that neither fitted these backbones nor chose their epoch."""
        return ~(self.seen | self.monitored)


@dataclass(frozen=True)
class FeatureTable:
    """All cached embeddings of a run."""

    rows: Rows
    spaces: list[Space]
    attributes: dict[str, Any]
    """config, fingerprint, id_column, label_column."""

    def __len__(self) -> int:
        return len(self.rows)

    def kinds(self) -> dict[str, list[Space]]:
        """The spaces by kind, fine-tuned ones first."""
        names = dict.fromkeys(space.kind for space in self.spaces)
        return {kind: [s for s in self.spaces if s.kind == kind] for kind in names}

    @property
    def reported(self) -> np.ndarray:
        """bool (N,): labelled rows that of every kind some space never touched: figures are honest
        on these, and choices are made on these."""
        kinds = self.kinds().values()
        untouched = [np.any([space.untouched for space in spaces], axis=0) for spaces in kinds]
        return self.rows.labelled & np.all(untouched, axis=0)
