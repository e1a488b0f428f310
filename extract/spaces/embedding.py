"""Model and inputs -> pooled embeddings, written batch by batch.

Every distinct picture and caption is embedded once, in batches of one fixed shape: the last batch
is filled up, and captions meet only captions of their own padded length. So an embedding depends
on its meme alone, not on which others were embedded with it, and scoring a meme later gives the
same numbers, bit for bit, on the same machine.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from extract.data.batches import Inputs
from extract.data.tokenisation import padded_length
from extract.towers.joint_model import JointModel
from extract.training import distributed
from extract.training.out_of_memory import as_memory_allows
from runtime.progress import progress

BATCH = 64
"""Memes in a batch of embeddings."""

Write = Callable[[str, np.ndarray, np.ndarray], None]
"""write(dataset name, rows (R,), values (R, ...))"""

Read = Callable[[str, slice], np.ndarray]


@torch.inference_mode()
def embed(model: JointModel, inputs: Inputs, write: Write, read: Read) -> None:
    """Write `image`, `text` and, if the model has a fusion head, `joint_logit` of every row.

    `write` takes rows in any order; `read` gives back embeddings already written.
    Of several ranks, which must all call this, the first one's `write` is what counts.
    """
    model.eval()
    with progress("embed", 2 * len(inputs), "embeddings") as advance:
        for name, parts in (("image", _images(model, inputs)), ("text", _texts(model, inputs))):
            for rows, values in parts:
                write(name, rows, values)
                advance(len(rows))
    if model.fusion is not None and distributed.first():
        _fuse(model, len(inputs), write, read)


def _fuse(model: JointModel, count: int, write: Write, read: Read) -> None:
    for start in range(0, count, BATCH):
        part = slice(start, min(start + BATCH, count))
        rows = np.arange(part.start, part.stop)
        image, text = (torch.from_numpy(_fill(read(n, part))) for n in ("image", "text"))
        device = model.machine.device
        logits = model.fusion(image.to(device), text.to(device))
        write("joint_logit", rows, logits.cpu().numpy()[: len(rows)])


def _images(model: JointModel, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pictures = inputs.pictures
    rows_of = _rows_by_item(pictures.index, len(pictures.pixels))

    def work(items: np.ndarray) -> Tensor:
        return model.embed_image(inputs.bytes_of(items))

    batches = _batches(np.arange(len(pictures.pixels)))
    return _shared_out(batches, work, model.image.dim, model.machine.device, rows_of)


def _texts(model: JointModel, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    captions = inputs.captions
    rows_of = _rows_by_item(captions.index, len(captions.tokens))
    shapes = np.array([padded_length(length) for length in captions.lengths()])

    def work(items: np.ndarray) -> Tensor:
        return model.embed_text(*captions.padded(items))

    batches = [b for s in np.unique(shapes) for b in _batches(np.flatnonzero(shapes == s))]
    return _shared_out(batches, work, model.text.dim, model.machine.device, rows_of)


def _shared_out(
    batches: list[np.ndarray],
    work: Callable[[np.ndarray], Tensor],
    dim: int,
    device: torch.device,
    rows_of: list[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and embeddings of every batch; each rank works on one batch in so many as there are."""
    for start in range(0, len(batches), distributed.world()):
        own = start + distributed.rank()
        idle = own >= len(batches)
        embedded = _empty(dim, device) if idle else as_memory_allows(work, _fill(batches[own]))
        together = batches[start : start + distributed.world()]
        for items, values in zip(together, distributed.gathered(embedded), strict=False):
            yield _spread(values, items, rows_of)


def _empty(dim: int, device: torch.device) -> Tensor:
    return torch.zeros(BATCH, dim, device=device)


def _batches(items: np.ndarray) -> list[np.ndarray]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def _fill(items: np.ndarray) -> np.ndarray:
    """Repeat the last item until the batch is full."""
    return np.pad(items, [(0, BATCH - len(items))] + [(0, 0)] * (items.ndim - 1), mode="edge")


def _rows_by_item(index: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(index, kind="stable")
    return np.split(order, np.cumsum(np.bincount(index, minlength=count))[:-1])


def _spread(
    embedded: Tensor, items: np.ndarray, rows_of: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """All rows that show one of `items`, and their embeddings."""
    values = embedded.cpu().numpy()[: len(items)]
    rows = [rows_of[item] for item in items]
    return np.concatenate(rows), np.repeat(values, [len(r) for r in rows], axis=0)
