"""Write towers and fusion heads as ONNX files, and try that these embed as PyTorch does."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from extract.towers.image_encoder import ImageEncoder
from extract.towers.text_encoder import TextEncoder
from runtime.errors import UserError
from serve.export.onnx_spaces import compute

OPSET = 18
"""Version of ONNX's operators: the newest of PyTorch's exporter that traces."""

TOLERANCE = 1e-3
"""Largest difference of an embedding, as a share of its largest coordinate. What is wrong in a
graph, such as a length that is fixed, makes differences of 0.1 and more; rounding of 1e-5."""

OPERATORS = ["MatMul", "Gather"]
"""Operators whose weights `quantise` makes 8-bit: products, and tables of words. Convolutions stay:
they would take three times as long, and the image tower is small."""

TRACED, TRIED = (2, 16), (3, 40)
"""Memes and tokens of the batch that is traced, and of one that is tried."""


def write_image_tower(encoder: ImageEncoder, size: int, path: Path) -> None:
    """Write pixels uint8 (B, 3, size, size) -> embedding float32 (B, dim)."""

    def batch(memes: int, _: int) -> dict[str, Tensor]:
        return {"pixels": torch.randint(0, 256, (memes, 3, size, size), dtype=torch.uint8)}

    _write(_ImageGraph(encoder, size), batch, encoder, path, {"pixels": {0: "memes"}})


def write_text_tower(encoder: TextEncoder, longest: int, path: Path) -> None:
    """Write ids and mask int64 (B, L) -> embedding float32 (B, dim), for L up to `longest`."""
    # The other implementations of attention choose their operators by the values of the mask.
    encoder.backbone.set_attn_implementation("eager")
    words = encoder.tokenizer.get_vocab_size()

    def batch(memes: int, tokens: int) -> dict[str, Tensor]:
        tokens = min(tokens, longest)
        ids = torch.randint(0, words, (memes, tokens))
        mask = torch.ones_like(ids)
        mask[-1, tokens // 2 :] = 0
        return {"ids": ids.where(mask == 1, encoder.pad_id), "mask": mask}

    axes = {name: {0: "memes", 1: "tokens"} for name in ("ids", "mask")}
    _write(encoder, batch, encoder, path, axes)


def write_fusion(fusion: nn.Module, widths: dict[str, int], path: Path) -> None:
    """Write image and text embeddings, float32 (B, width) each -> logit float32 (B,)."""

    def batch(memes: int, _: int) -> dict[str, Tensor]:
        return {name: torch.randn(memes, width) for name, width in widths.items()}

    _write(fusion, batch, fusion, path, {name: {0: "memes"} for name in widths})


class _ImageGraph(nn.Module):
    """The forward pass of ImageEncoder for pictures of one size.

    Resizing is linear in each direction, so it is two products with a matrix: ONNX has no operator
    that enlarges a picture as PyTorch's `interpolate` does with antialiasing.
    """

    def __init__(self, encoder: ImageEncoder, size: int) -> None:
        super().__init__()
        self.encoder = encoder
        wanted = encoder.input_size if encoder.fixed_size else max(encoder.min_size, size)
        self.resizes = wanted != size
        columns = torch.eye(size)[None, None]
        matrix = interpolate(columns, size=(wanted, size), mode="bicubic", antialias=True)
        self.register_buffer("matrix", matrix[0, 0])

    def forward(self, pixels: Tensor) -> Tensor:
        normalised = (pixels.float() - self.encoder.mean) / self.encoder.std
        if self.resizes:
            normalised = self.matrix @ normalised @ self.matrix.T
        return self.encoder.embed(normalised)


def _write(
    graph: nn.Module,
    batch: Callable[[int, int], dict[str, Tensor]],
    module: nn.Module,
    path: Path,
    axes: dict[str, dict[int, str]],
) -> None:
    """Trace `graph`, and compare what the file computes with `module`."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    with _user_error(path), torch.no_grad(), warnings.catch_warnings():
        # Of the exporter: that it is the older one of two, and what a trace might miss, which is
        # tried below.
        warnings.simplefilter("ignore")
        traced = batch(*TRACED)
        torch.onnx.export(
            graph.eval(),
            tuple(traced.values()),
            str(path),
            # The newer exporter needs onnxscript too, and more time.
            dynamo=False,
            opset_version=OPSET,
            input_names=list(axes),
            output_names=["embedding"],
            dynamic_axes={**axes, "embedding": {0: "memes"}},
        )
        tried = batch(*TRIED)
        wanted = module.eval()(*tried.values()).numpy()
    torch.random.set_rng_state(generator_state)
    with _user_error(path):
        found = run_graph(path, {name: values.numpy() for name, values in tried.items()})
        difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not difference <= TOLERANCE:
        raise _refused(path, f"the graph embeds differently than PyTorch, by {difference:.2g}")


def run_graph(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the output of an ONNX file."""
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    return compute(session, inputs)


@contextmanager
def _user_error(path: Path) -> Iterator[None]:
    """Turn any error of a library into one that names the tower."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # an exporter may raise any exception for a model it does not know
        raise _refused(path, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error


def _refused(path: Path, reason: str) -> UserError:
    return UserError(
        f"the {path.stem} model of {path.parent.name} cannot be written as ONNX ({reason}). Score "
        "with: python pipeline.py predict"
    )


def quantise(path: Path) -> None:
    """Replace an ONNX file by one whose weights of OPERATORS are int8.

    Dynamic quantisation of ONNX Runtime: activations are quantised as they come, so that no memes
    are needed to calibrate.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = path.with_suffix(".fp32")
    path.rename(whole)
    # It warns of preparations, which gain nothing here, and of tensors that it leaves as they are.
    logging.disable(logging.WARNING)
    try:
        with _user_error(path):
            quantize_dynamic(whole, path, OPERATORS, weight_type=QuantType.QInt8, per_channel=True)
    finally:
        logging.disable(logging.NOTSET)
    whole.unlink()
