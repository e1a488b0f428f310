"""Towers of other libraries embed alike as ONNX and with PyTorch, at lengths that are not tried."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_towers import write_image_model, write_text_model

from extract.data.tokenisation import tokenise
from extract.towers.encoders import load_image_encoder, load_text_encoder
from serve.export.tower_graphs import run_graph, write_image_tower, write_text_tower

pytestmark = pytest.mark.skipif(find_spec("onnx") is None, reason="needs requirements-export.txt")


@pytest.mark.parametrize("kind", ["clip", "siglip", "t5", "mpnet"])
def test_captions_of_any_length_are_embedded_alike(kind, make_tokenizer, tmp_path):
    write_text_model(kind, tmp_path, make_tokenizer())
    encoder = load_text_encoder(tmp_path, "checkpoint").eval()
    longest = min(encoder.max_tokens, 64)
    write_text_tower(encoder, longest, tmp_path / "text.onnx")
    for captions in ([""], ["the cat", "x" * 100]):
        tokens = tokenise(captions, encoder.tokenizer, longest, encoder.pad_id)
        ids, mask = tokens.padded_batch(np.arange(len(captions)))
        found = run_graph(tmp_path / "text.onnx", {"ids": ids, "mask": mask})
        with torch.no_grad():
            wanted = encoder(torch.from_numpy(ids), torch.from_numpy(mask))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip", "vit"])
@pytest.mark.parametrize("side", [24, 70])
def test_pictures_are_resized_alike(kind, side, tmp_path):
    write_image_model(kind, tmp_path)
    encoder = load_image_encoder(tmp_path).eval()
    write_image_tower(encoder, side, tmp_path / "image.onnx")
    pixels = torch.randint(0, 256, (5, 3, side, side), dtype=torch.uint8)
    with torch.no_grad():
        wanted = encoder(pixels)
    found = run_graph(tmp_path / "image.onnx", {"pixels": pixels.numpy()})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
