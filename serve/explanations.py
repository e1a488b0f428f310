"""Why a meme has its probability: what each modality says, what matters in it, what is like it.

Words and parts of the picture are removed one at a time (occlusion, Zeiler and Fergus 2014); the
change of the probability is their contribution. The nearest training memes are those with the most
similar embeddings in the pretrained space.
"""

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from features.feature_table import FeatureTable
from features.hdf5_store import read_features
from heads.base import evenly_spaced
from heads.ensemble.run_memes import read_memes
from heads.fitting.pca_projection import REPROJECT
from runtime.files.array_files import read_array
from runtime.picture_opening import GREY, open_picture
from serve.drift.meme_quantities import SPACE, unit_vectors
from serve.predictor import Predictor

GRID = 3
"""Rows and columns of parts that the picture is cut into."""

MAX_WORDS = 24
"""Of longer captions, groups of neighbouring words are removed together."""

MAX_SIDE = 1024
"""Larger pictures are shrunk, in pixels, before parts are cut out: nine are made of each."""

NEAREST = 5


class Part(NamedTuple):
    """Words, or a part of the picture, and what their removal takes from the probability."""

    what: str
    """The words, or `row,column` of the part, from 0 at the top left."""
    contribution: float
    """Positive if the meme would look less hateful without it."""


class Neighbour(NamedTuple):
    """A labelled training meme."""

    id: str
    caption: str
    label: int
    similarity: float
    """Cosine, 1 for the same embeddings."""


@dataclass(frozen=True)
class Explanation:
    """What is known of one meme."""

    probability: float
    picture_alone: float | None
    """Probability without the caption; None if there is no picture."""
    caption_alone: float | None
    words: list[Part]
    """In the order of the caption."""
    picture: list[Part]
    """The largest contribution first."""
    nearest: list[Neighbour]
    novelty: float
    """Share of training memes that are closer to another training meme than this one to any: near 1
    means that nothing like it was seen."""


@dataclass(frozen=True)
class Explainer:
    """Explains memes with a resident predictor."""

    predictor: Predictor
    run: Path

    def explain(self, picture: bytes | None, caption: str) -> Explanation:
        """Explain one meme whose picture can be decoded. Raises what Pillow raises otherwise.

        `caption` is as it was scored: none is read off the picture, which must count alone.
        """
        caption = caption.strip()
        nearest, novelty = self._nearest(picture, caption)
        whole, *alone = self._probabilities(
            [(picture, caption)] + ([(picture, ""), (None, caption)] if picture and caption else [])
        )
        return Explanation(
            probability=whole,
            picture_alone=alone[0] if alone else None,
            caption_alone=alone[1] if alone else None,
            words=self._words(picture, caption, whole),
            picture=self._cells(picture, caption) if picture else [],
            nearest=nearest,
            novelty=novelty,
        )

    def _words(self, picture: bytes | None, caption: str, whole: float) -> list[Part]:
        groups = word_groups(caption.split())
        without = self._probabilities([(picture, " ".join(rest)) for _, rest in groups])
        return [
            Part(" ".join(removed), whole - p)
            for (removed, _), p in zip(groups, without, strict=True)
        ]

    def _cells(self, picture: bytes, caption: str) -> list[Part]:
        uncovered, parts = picture_parts(picture)
        pictures = [uncovered, *parts.values()]
        whole, *without = self._probabilities([(one, caption) for one in pictures])
        cells = [Part(name, whole - p) for name, p in zip(parts, without, strict=True)]
        return sorted(cells, key=lambda part: -abs(part.contribution))

    def _probabilities(self, memes: list[tuple[bytes | None, str]]) -> list[float]:
        if not memes:
            return []
        pictures, captions = zip(*memes, strict=True)
        found = self.predictor.predict(list(pictures), list(captions), read_absent=False)
        return [one.probability for one in found]

    def _nearest(self, picture: bytes | None, caption: str) -> tuple[list[Neighbour], float]:
        table = self.predictor.embed([picture], [caption])
        space = next(one for one in table.spaces if one.name == SPACE)
        projection = self.predictor.scorer.projections[SPACE]
        similarity = self._seen @ unit_vectors(projection.apply(space.image, space.text))[0]
        order = np.argsort(-similarity)[:NEAREST]
        rows = self._features.rows
        labelled = np.flatnonzero(rows.labelled)[order]
        neighbours = [
            Neighbour(str(rows.id[row]), self._captions[row], int(rows.label[row]), float(s))
            for row, s in zip(labelled, similarity[order], strict=True)
        ]
        return neighbours, float(np.mean(self._closest > similarity.max()))

    @cached_property
    def _features(self) -> FeatureTable:
        return read_features(self.run / "features.h5", embeddings=False)

    @cached_property
    def _captions(self) -> list[str]:
        memes = read_memes(self.run / "memes.jsonl", self._features.rows.id)
        return [meme.caption for meme in memes]

    @cached_property
    def _seen(self) -> np.ndarray:
        """float32 (labelled rows, columns): unit vectors."""
        columns = read_array(self.run / "heads" / "projections" / f"{SPACE}.npy", REPROJECT)
        return unit_vectors(columns[self._features.rows.labelled])

    @cached_property
    def _closest(self) -> np.ndarray:
        """float32 (up to 1000,): similarity of training memes to the closest other group."""
        group = self._features.rows.group[self._features.rows.labelled]
        sample = evenly_spaced(len(group), 1000)
        similarity = self._seen[sample] @ self._seen.T
        similarity[group[sample][:, None] == group[None, :]] = -1
        return similarity.max(axis=1)


def word_groups(words: list[str]) -> list[tuple[list[str], list[str]]]:
    """Divide words into at most MAX_WORDS groups; return each and the words without it."""
    size = max(1, -(-len(words) // MAX_WORDS))
    starts = range(0, len(words), size)
    return [(words[i : i + size], words[:i] + words[i + size :]) for i in starts]


def picture_parts(picture: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Return the picture, and it with each of GRID x GRID parts greyed out, by `row,column`.

    All are PNGs without a side above MAX_SIDE.
    """
    original = open_picture(BytesIO(picture))
    original.thumbnail((MAX_SIDE, MAX_SIDE))
    across, down = (np.linspace(0, side, GRID + 1).astype(int) for side in original.size)
    found = {}
    for row in range(GRID):
        for column in range(GRID):
            covered = original.copy()
            box = (across[column], down[row], across[column + 1], down[row + 1])
            covered.paste((GREY, GREY, GREY), tuple(map(int, box)))
            found[f"{row},{column}"] = _png(covered)
    return _png(original), found


def _png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
