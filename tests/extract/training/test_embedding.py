"""Embedding: the result depends on the meme alone, to the last bit."""

import numpy as np
import pytest
import torch
from fast_settings import CPU_BATCH_SIZE as BATCH_SIZE

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.towers.bundled_weights import load_bundled_image, load_bundled_text
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.training import embedding, out_of_memory
from extract.training.embedding import embed
from features.feature_table import Rows
from features.hdf5_store import join_spaces, read_features
from features.space_files import writing_space
from runtime.errors import UserError

ROWS = 150
FP32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture(autouse=True)
def batches_of_users(monkeypatch):
    monkeypatch.setattr(embedding, "CPU_BATCH_SIZE", BATCH_SIZE)


@pytest.fixture(scope="module")
def inputs():
    """150 memes with 100 distinct pictures and 90 distinct captions of 3 to 30 tokens."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 3, 32, 32), dtype=np.uint8)
    tokens = [rng.integers(5, 60, length) for length in rng.integers(3, 31, 90)]
    index = [np.r_[np.arange(n), rng.integers(0, n, ROWS - n)] for n in (100, 90)]
    digests = [f"digest {number}" for number in range(100)]
    pictures = Pictures(pixels, np.zeros(100, np.uint64), digests, index[0])
    return Inputs(pictures, Captions(tokens, index[1], pad_id=0, truncated=0))


@pytest.fixture(params=["tiny fp32", "tiny bf16", "bundled auto"], scope="module")
def model(request, make_image_encoder, make_text_encoder):
    torch.manual_seed(0)
    kind, precision = request.param.split()
    image, text = (
        (make_image_encoder(), make_text_encoder())
        if kind == "tiny"
        else (load_bundled_image(), load_bundled_text("mean"))
    )
    dtypes = {"fp32": (FP32, FP32, FP32), "bf16": (BF16, BF16, BF16), "auto": (FP32, BF16, BF16)}[
        precision
    ]
    fusion = FUSIONS["interaction"](image.dim, text.dim)
    return JointModel(image, text, fusion, Machine(torch.device("cpu"), *dtypes))


@pytest.fixture
def tiny(make_image_encoder, make_text_encoder, fp32):
    image, text = make_image_encoder(), make_text_encoder()
    return JointModel(image, text, FUSIONS["interaction"](image.dim, text.dim), fp32)


def embed_all(model, inputs):
    """Return the arrays `image`, `text` and `joint_logit`; NaN where nothing was written."""
    found = {
        name: np.full((len(inputs), *width), np.nan, np.float32)
        for name, width in (
            ("image", [model.image.dim]),
            ("text", [model.text.dim]),
            ("joint_logit", []),
        )
    }

    def write(name, rows, values):
        found[name][rows] = values

    embed(model, inputs, write, lambda name, rows: found[name][rows])
    return found


def select_rows(inputs, rows):
    """Return the inputs of `rows`, numbered as if there were no others."""
    numbers, index = {}, {}
    for kind, old in (("picture", inputs.pictures.index), ("caption", inputs.captions.index)):
        new = numbers[kind] = {}
        index[kind] = np.array([new.setdefault(int(old[row]), len(new)) for row in rows])
    pictures, captions = inputs.pictures, inputs.captions
    used_pictures, used_captions = list(numbers["picture"]), list(numbers["caption"])
    return Inputs(
        Pictures(
            pictures.pixels[used_pictures],
            pictures.hashes[used_pictures],
            [pictures.digests[number] for number in used_pictures],
            index["picture"],
        ),
        Captions([captions.tokens[number] for number in used_captions], index["caption"], 0, 0),
    )


def test_embedding_does_not_depend_on_the_number_and_order_of_other_memes(model, inputs):
    whole = embed_all(model, inputs)
    order = np.random.default_rng(1).permutation(ROWS)
    for rows in (np.array([7]), np.array([ROWS - 1]), order[:70], order):
        part = embed_all(model, select_rows(inputs, rows))
        for name, values in part.items():
            assert np.array_equal(values, whole[name][rows]), (name, len(rows))


def test_every_row_is_finite_and_equals_a_simple_forward_pass(tiny, inputs):
    found = embed_all(tiny, inputs)
    assert all(np.isfinite(values).all() for values in found.values())
    with torch.inference_mode():
        for row in (0, 63, 64, 120, ROWS - 1):
            rows = np.array([row])
            image = tiny.embed_image(inputs.pixels(rows))
            text = tiny.embed_text(*inputs.tokens(rows))
            for name, value in (
                ("image", image),
                ("text", text),
                ("joint_logit", tiny.fusion(image, text)),
            ):
                assert np.allclose(found[name][row], value[0].numpy(), atol=1e-4), (name, row)


def test_joint_logit_is_the_fusion_of_the_written_embeddings(model, inputs):
    found = embed_all(model, inputs)
    with torch.inference_mode():
        logits = model.fusion.eval()(*(torch.from_numpy(found[n]) for n in ("image", "text")))
    assert np.allclose(found["joint_logit"], logits.numpy(), atol=1e-4)


def test_without_fusion_head_embeddings_are_the_same_and_there_is_no_logit(tiny, inputs):
    whole = embed_all(tiny, inputs)
    tiny.fusion = None
    found = embed_all(tiny, inputs)
    for name in ("image", "text"):
        assert np.array_equal(found[name], whole[name])
    assert np.isnan(found["joint_logit"]).all()


def test_dropout_and_batch_statistics_are_disabled(tiny, inputs):
    tiny.train()
    first = embed_all(tiny, inputs)
    tiny.train()
    again = embed_all(tiny, inputs)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_repeated_pictures_and_captions_are_embedded_once(tiny, inputs, monkeypatch):
    embed_all(tiny, inputs)  # small batches of a new shape are compared with full ones
    seen = {"embed_image": [], "embed_text": []}
    for name, calls in seen.items():
        plain = getattr(tiny, name)

        def counted(*tensors, plain=plain, calls=calls):
            calls.append({row.numpy().tobytes() for row in tensors[0]})
            return plain(*tensors)

        monkeypatch.setattr(tiny, name, counted)
    embed_all(tiny, inputs)
    for name, count in (("embed_image", 100), ("embed_text", 90)):
        assert sum(map(len, seen[name])) == count
    assert len(seen["embed_image"]) == -(-100 // BATCH_SIZE)


def test_pictures_and_captions_without_rows_are_skipped(tiny, inputs, tmp_path):
    rows_left = np.flatnonzero(
        (inputs.pictures.index < BATCH_SIZE) & (inputs.captions.index < BATCH_SIZE)
    )
    pictures, captions = inputs.pictures, inputs.captions
    remaining = Inputs(
        Pictures(pictures.pixels, pictures.hashes, pictures.digests, pictures.index[rows_left]),
        Captions(captions.tokens, captions.index[rows_left], 0, 0),
    )
    names = np.array([str(row) for row in rows_left], object)
    rows = Rows(names, names, *(np.zeros(len(rows_left)),) * 4)
    space_path, dims = tmp_path / "space_0.h5", (tiny.image.dim, tiny.text.dim)
    with writing_space(space_path, len(rows_left), *dims, joint=True) as space:
        embed(tiny, remaining, space.write, space.read)
        space.set_attributes({})
    join_spaces(tmp_path / "features.h5", rows, {}, {"space_0": space_path})
    whole = embed_all(tiny, inputs)
    found = read_features(tmp_path / "features.h5").spaces[0]
    assert np.array_equal(found.image, whole["image"][rows_left])
    assert np.array_equal(found.text, whole["text"][rows_left])


def test_batch_that_does_not_fit_into_memory_is_split(tiny, inputs, monkeypatch, capsys):
    whole, forward, sizes = embed_all(tiny, inputs), JointModel.embed_image, []

    def limited(model, pixels):
        sizes.append(len(pixels))
        if len(pixels) > BATCH_SIZE / 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, pixels)

    monkeypatch.setattr(JointModel, "embed_image", limited)
    out_of_memory._log_split_once.cache_clear()
    parts = embed_all(tiny, inputs)
    assert min(sizes) == BATCH_SIZE / 4
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, atol=1e-5)
    assert capsys.readouterr().err.count("not enough memory for a whole batch") == 1


def test_too_little_memory_for_one_meme_is_a_user_error(tiny, inputs, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(JointModel, "embed_text", full)
    with pytest.raises(UserError, match="not enough memory for a single meme"):
        embed_all(tiny, inputs)
