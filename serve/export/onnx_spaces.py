"""Embed memes in every space of an exported run, with ONNX Runtime."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from extract.data.ngrams import LexicalEncoder, load_lexical
from extract.data.tokenisation import padded_length, tokenise
from features.embedding_dtypes import from_stored, to_stored
from features.feature_table import FeatureTable, Rows, Space
from runtime.picture_opening import GREY, to_pixels

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BATCH_SIZE = 8
"""Memes per call of a tower, as when a CPU embeds with PyTorch."""

IMAGE, TEXT, FUSION, TOKENIZER = "image.onnx", "text.onnx", "fusion.onnx", "tokenizer.json"


@dataclass(frozen=True)
class SpaceSettings:
    """How one space embeds a meme."""

    origins: dict[str, Any]
    """Of the embeddings, as in `Checkpoint`."""
    embedding_dtype: str
    """Type to which embeddings are rounded."""
    lexical: bool
    """Whether captions are embedded by their n-grams."""
    joint: bool
    """Whether there is a fusion head."""
    image: dict[str, Any] | None
    """`size` in pixels and `interpolation`; None if the pictures are embedded as in `source`."""
    text: dict[str, Any] | None
    """`max_tokens`, `pad_id` and `prefix`; None if there is no text tower."""
    source: str | None
    """The space whose embeddings are used for a modality that has no tower here."""


class OnnxSpace:
    """The towers of one space, in a folder."""

    def __init__(self, folder: Path, settings: SpaceSettings, remedy: str) -> None:
        self.folder = folder
        self.settings = settings
        self.remedy = remedy

    def embed(
        self,
        pictures: list[Image.Image | None],
        captions: list[str],
        others: dict[str, dict[str, np.ndarray]],
    ) -> dict[str, np.ndarray]:
        """Return `image` and `text` float32 (N, width); with a fusion head, `joint_logit` (N,).

        `others` are the embeddings of the spaces before this one.
        """
        own = self.settings
        arrays = dict(others.get(own.source, {}))
        arrays.pop("joint_logit", None)
        if own.image is not None:
            arrays["image"] = self._rounded(self._embed_pictures(pictures), "image")
        if own.text is not None:
            arrays["text"] = self._rounded(self._embed_captions(captions), "text")
        if own.lexical:
            arrays["text"] = self._rounded(self._lexical.embed(captions), "text")
        if own.joint:
            arrays["joint_logit"] = compute(self._fusion, arrays)
        return arrays

    def _embed_pictures(self, pictures: list[Image.Image | None]) -> np.ndarray:
        size, interpolation = self.settings.image["size"], self.settings.image["interpolation"]
        grey = np.full((3, size, size), GREY, dtype=np.uint8)
        pixels = np.stack(
            [grey if one is None else to_pixels(one, size, interpolation) for one in pictures]
        )
        parts = [pixels[i : i + BATCH_SIZE] for i in range(0, len(pixels), BATCH_SIZE)]
        return np.concatenate([compute(self._image, {"pixels": part}) for part in parts])

    def _embed_captions(self, captions: list[str]) -> np.ndarray:
        own = self.settings.text
        prefixed = [own["prefix"] + caption for caption in captions]
        tokens = tokenise(prefixed, self._tokenizer, own["max_tokens"], own["pad_id"])
        lengths = np.array([padded_length(length) for length in tokens.lengths()])
        embedded: dict[int, np.ndarray] = {}
        for length in np.unique(lengths):
            items = np.flatnonzero(lengths == length)
            for batch in (items[i : i + BATCH_SIZE] for i in range(0, len(items), BATCH_SIZE)):
                ids, mask = tokens.padded_batch(batch)
                values = compute(self._text, {"ids": ids, "mask": mask})
                embedded.update(zip(batch.tolist(), values, strict=True))
        return np.stack([embedded[item] for item in tokens.index.tolist()])

    def _rounded(self, values: np.ndarray, name: str) -> np.ndarray:
        return from_stored(to_stored(values, self.settings.embedding_dtype, name))

    @cached_property
    def _image(self) -> "InferenceSession":
        return self._session(IMAGE)

    @cached_property
    def _text(self) -> "InferenceSession":
        return self._session(TEXT)

    @cached_property
    def _fusion(self) -> "InferenceSession":
        return self._session(FUSION)

    @cached_property
    def _lexical(self) -> LexicalEncoder:
        return load_lexical(self.folder, self.remedy)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / TOKENIZER))

    def _session(self, file: str) -> "InferenceSession":
        from onnxruntime import InferenceSession

        return InferenceSession(self.folder / file, providers=["CPUExecutionProvider"])


def compute(session: "InferenceSession", inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the output of a graph. It lacks inputs that it does not use, such as SigLIP's mask."""
    used = {one.name for one in session.get_inputs()}
    return session.run(None, {name: value for name, value in inputs.items() if name in used})[0]


def embed(
    spaces: dict[str, OnnxSpace],
    stamp: str,
    pictures: list[Image.Image | None],
    captions: list[str],
) -> FeatureTable:
    """Embed memes, each an RGB picture (None: a grey one) and a caption, in each space in turn."""
    count = len(captions)
    none = np.zeros(count, dtype=bool)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for name, space in spaces.items():
        arrays[name] = space.embed(pictures, captions, arrays)
    made = [
        Space(
            name,
            seen=none,
            monitored=none,
            attributes=spaces[name].settings.origins,
            **{"joint_logit": None, **own},
        )
        for name, own in arrays.items()
    ]
    return FeatureTable(_unlabelled(count), made, {"stamp": stamp})


def _unlabelled(count: int) -> Rows:
    return Rows(
        id=np.array([str(number) for number in range(count)], dtype=object),
        split=np.array(["test"] * count, dtype=object),
        label=np.full(count, -1, np.int8),
        group=np.arange(count, dtype=np.int32),
        fold=np.full(count, -1, np.int16),
        order=np.arange(count, dtype=np.int32),
    )
