"""Inference: embed all rows with a model, batch by batch.

Each distinct picture and caption is embedded once. A batch has only captions of the same padded
length; one that is not full is padded, or smaller where that gives the same bits. So an embedding
depends on its meme alone, not on the rest of the batch, and scoring a meme later gives the same
numbers, bit for bit, on the same machine.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from extract.data.batches import Inputs
from extract.data.tokenisation import padded_length
from extract.towers.joint_model import JointModel
from extract.training import distributed
from extract.training.small_batches import Compute, embed_few, pad_batch
from features.embedding_dtypes import FLOAT32, from_stored, to_stored
from runtime.progress import progress

CPU_BATCH_SIZE, GPU_BATCH_SIZE = 8, 64
"""On two CPU cores, batches of 8 embed 1.1 to 1.6 times as many memes a second as batches of 64
(docs/performance.md); a GPU needs large batches."""

Write = Callable[[str, np.ndarray, np.ndarray], None]
"""write(dataset name, rows (R,), values (R, ...))"""

Read = Callable[[str, slice], np.ndarray]
"""read(dataset name, rows), which returns values (R, ...)"""


Embed = Callable[[JointModel, Inputs, Write, Read], None]
"""`embed`, or another function that writes the same."""


@torch.inference_mode()
def embed(model: JointModel, inputs: Inputs, write: Write, read: Read) -> None:
    """Write `image`, `text` and `joint_logit` of every row, as far as the model has the parts.

    `write` is called with rows in any order; `read` returns embeddings already written. All ranks
    must call this, but only rank 0's `write` matters.
    """
    if model.training:
        model.eval()
    present = [name for name, tower in model.towers.items() if tower is not None]
    total = len(present) * len(inputs)
    # A few memes are done before anybody can read it, and several spaces may embed them at once.
    few = len(inputs) < CPU_BATCH_SIZE
    shown = nullcontext(lambda count: None) if few else progress("embed", total, "embeddings")
    with shown as advance:
        for name in present:
            for rows, values in EMBED[name](model, inputs):
                write(name, rows, values)
                advance(len(rows))
    if model.fusion is not None and distributed.first():
        _write_joint_logits(model, len(inputs), write, read)


def embed_in_memory(
    model: JointModel, inputs: Inputs, dtype: str = FLOAT32
) -> dict[str, np.ndarray]:
    """Return what `embed` writes, by name: float32 (N, dim); `joint_logit` is (N,).

    Embeddings are rounded to `dtype`, as in a features.h5 that stores them so.
    """
    count = len(inputs)
    arrays = {
        name: np.empty((count, tower.dim), dtype)
        for name, tower in model.towers.items()
        if tower is not None
    }
    if model.fusion is not None:
        arrays["joint_logit"] = np.empty(count, np.float32)

    def write(name: str, rows: np.ndarray, values: np.ndarray) -> None:
        arrays[name][rows] = to_stored(values, arrays[name].dtype, name)

    embed(model, inputs, write, lambda name, rows: from_stored(arrays[name][rows]))
    return {name: from_stored(values) for name, values in arrays.items()}


def batch_size(device: torch.device) -> int:
    """Return the number of memes per batch of embeddings."""
    return GPU_BATCH_SIZE if device.type == "cuda" else CPU_BATCH_SIZE


def _write_joint_logits(model: JointModel, count: int, write: Write, read: Read) -> None:
    device = model.machine.device
    size = batch_size(device)
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        rows = np.arange(part.start, part.stop)
        image, text = (torch.from_numpy(pad_batch(read(n, part), size)) for n in ("image", "text"))
        logits = model.fusion(image.to(device), text.to(device))
        write("joint_logit", rows, logits.cpu().numpy()[: len(rows)])


def _embed_images(model: JointModel, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pictures = inputs.pictures
    rows_of = _rows_by_item(pictures.index, len(pictures.pixels))

    def compute(items: np.ndarray) -> Tensor:
        return model.embed_image(inputs.pixels_of_pictures(items))

    size = batch_size(model.machine.device)
    batches = _batches(np.arange(len(pictures.pixels)), size)
    few = partial(embed_few, compute, size=size, shape="image", same_bits=model.same_bits)
    return _embed_on_all_ranks(batches, few, model.image.dim, model.machine.device, rows_of)


def _embed_texts(model: JointModel, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    captions = inputs.captions
    rows_of = _rows_by_item(captions.index, len(captions.tokens))
    lengths = np.array([padded_length(length) for length in captions.lengths()])

    def compute(items: np.ndarray) -> Tensor:
        return model.embed_text(*map(torch.from_numpy, captions.padded_batch(items)))

    size = batch_size(model.machine.device)

    def few(items: np.ndarray) -> Tensor:
        shape = f"{lengths[items[0]]} tokens"
        return embed_few(compute, items, size, shape, model.same_bits)

    batches = [
        batch
        for length in np.unique(lengths)
        for batch in _batches(np.flatnonzero(lengths == length), size)
    ]
    return _embed_on_all_ranks(batches, few, model.text.dim, model.machine.device, rows_of)


EMBED = {"image": _embed_images, "text": _embed_texts}


def _embed_on_all_ranks(
    batches: list[np.ndarray],
    embed_batch: Compute,
    dim: int,
    device: torch.device,
    rows_of: list[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and embeddings of each batch. The ranks take turns with the batches."""
    for start in range(0, len(batches), distributed.world()):
        number = start + distributed.rank()
        if number < len(batches):
            embedded = embed_batch(batches[number])
        else:
            embedded = torch.zeros(0, dim, device=device)
        # Ranks exchange tensors of one shape.
        missing = batch_size(device) - len(embedded)
        embedded = torch.nn.functional.pad(embedded, (0, 0, 0, missing))
        together = batches[start : start + distributed.world()]
        for items, values in zip(together, distributed.all_gather(embedded), strict=False):
            yield _expand_to_rows(values, items, rows_of)


def _batches(items: np.ndarray, size: int) -> list[np.ndarray]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _rows_by_item(index: np.ndarray, count: int) -> list[np.ndarray]:
    """Invert `index` (N,), row -> item: return the rows of each of `count` items."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.cumsum(np.bincount(index, minlength=count))[:-1])


def _expand_to_rows(
    embedded: Tensor, items: np.ndarray, rows_of: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows that have one of `items`, and their embeddings."""
    values = embedded.cpu().numpy()[: len(items)]
    rows = [rows_of[item] for item in items]
    return np.concatenate(rows), np.repeat(values, [len(r) for r in rows], axis=0)
