"""The feature table that stage one hands to stage two: rows and embeddings. numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")

FINE_TUNED = "fine-tuned"


@dataclass(frozen=True)
class Rows:
    """The data of each meme that does not depend on a space. Arrays of length N."""

    id: np.ndarray
    """object of str."""
    split: np.ndarray
    """object of str: train, val or test."""
    label: np.ndarray
    """int8: 0, 1, or -1 = unknown."""
    group: np.ndarray
    """int32: near-duplicates have the same number."""
    fold: np.ndarray
    """int16: -1 for test rows."""
    order: np.ndarray
    """int32: row index in solution.csv, -1 = not in it."""

    def __len__(self) -> int:
        return len(self.id)

    @property
    def labelled(self) -> np.ndarray:
        """bool (N,): train and val rows. Test labels, if known, are only for evaluation."""
        return self.split != "test"


@dataclass(frozen=True)
class Space:
    """The embeddings of one pair of backbones.

    Embeddings of different spaces are not comparable: never combine them.
    """

    name: str
    """space_0, space_1 ...: fine-tuned, each without its fold. `pretrained` and `lexical` use no
    labels."""
    image: np.ndarray
    """float32 (N, image width)."""
    text: np.ndarray
    """float32 (N, text width)."""
    joint_logit: np.ndarray | None
    """float32 (N,): logit of the fusion head trained with the backbones; None if there is none."""
    seen: np.ndarray
    """bool (N,): the backbones were trained on this row."""
    monitored: np.ndarray
    """bool (N,): the best epoch of the backbones was chosen on this row."""
    attributes: dict[str, Any]
    """Backbones, revisions, pooling, sizes, training history."""

    @property
    def kind(self) -> str:
        """FINE_TUNED, or the name of the space. Outputs of spaces of one kind can be averaged."""
        return FINE_TUNED if self.name.startswith("space_") else self.name

    @property
    def held_out(self) -> np.ndarray:
        """bool (N,): rows used neither to train these backbones nor to choose their epoch."""
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
        """Group the spaces by kind, in the order of the file: fine-tuned ones first."""
        names = dict.fromkeys(space.kind for space in self.spaces)
        return {kind: [s for s in self.spaces if s.kind == kind] for kind in names}

    @property
    def reported(self) -> np.ndarray:
        """bool (N,): labelled rows that are held out in at least one space of every kind.

        Models are chosen and metrics reported on these rows.
        """
        kinds = self.kinds().values()
        held_out = [np.any([space.held_out for space in spaces], axis=0) for spaces in kinds]
        return self.rows.labelled & np.all(held_out, axis=0)
