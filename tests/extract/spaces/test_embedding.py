"""An embedding depends on its meme alone, down to the last bit."""

import numpy as np
import pytest
import torch

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.spaces.embedding import BATCH, embed
from extract.towers.bundled_weights import load_bundled_image, load_bundled_text
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.training import out_of_memory as memory
from features.feature_table import Rows
from features.hdf5_store import join_spaces, read_features, writing_space
from runtime.errors import UserError

ROWS = 150
FP32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture(scope="module")
def inputs():
    """150 memes of 100 pictures and 90 captions of 3 to 30 tokens."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 3, 32, 32), dtype=np.uint8)
    tokens = [rng.integers(5, 60, length) for length in rng.integers(3, 31, 90)]
    index = [np.r_[np.arange(n), rng.integers(0, n, ROWS - n)] for n in (100, 90)]
    digests = [f"digest {place}" for place in range(100)]
    pictures = Pictures(pixels, np.zeros(100, np.uint64), digests, index[0])
    return Inputs(pictures, Captions(tokens, index[1], pad_id=0, cut=0))


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


def dumped(model, inputs):
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


def only(inputs, rows):
    """The inputs of some rows, numbered as if there had never been others."""
    places, index = {}, {}
    for kind, old in (("picture", inputs.pictures.index), ("caption", inputs.captions.index)):
        place = places[kind] = {}
        index[kind] = np.array([place.setdefault(int(old[row]), len(place)) for row in rows])
    shown, said = list(places["picture"]), list(places["caption"])
    pictures, captions = inputs.pictures, inputs.captions
    return Inputs(
        Pictures(
            pictures.pixels[shown],
            pictures.hashes[shown],
            [pictures.digests[place] for place in shown],
            index["picture"],
        ),
        Captions([captions.tokens[place] for place in said], index["caption"], 0, 0),
    )


def test_a_meme_has_the_same_bits_alone_in_another_order_and_among_others(model, inputs):
    whole = dumped(model, inputs)
    order = np.random.default_rng(1).permutation(ROWS)
    for rows in (np.array([7]), np.array([ROWS - 1]), order[:70], order):
        part = dumped(model, only(inputs, rows))
        for name, values in part.items():
            assert np.array_equal(values, whole[name][rows]), (name, len(rows))


def test_every_row_is_finite_and_equals_a_plain_forward_pass(tiny, inputs):
    found = dumped(tiny, inputs)
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


def test_the_joint_logit_is_the_fusion_of_the_embeddings_stored(model, inputs):
    found = dumped(model, inputs)
    with torch.inference_mode():
        logits = model.fusion.eval()(*(torch.from_numpy(found[n]) for n in ("image", "text")))
    assert np.allclose(found["joint_logit"], logits.numpy(), atol=1e-4)


def test_without_a_fusion_head_the_embeddings_are_the_same_and_there_is_no_logit(tiny, inputs):
    whole = dumped(tiny, inputs)
    tiny.fusion = None
    found = dumped(tiny, inputs)
    for name in ("image", "text"):
        assert np.array_equal(found[name], whole[name])
    assert np.isnan(found["joint_logit"]).all()


def test_dropout_and_batch_statistics_are_switched_off(tiny, inputs):
    tiny.train()
    first = dumped(tiny, inputs)
    tiny.train()
    again = dumped(tiny, inputs)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_repeated_pictures_and_captions_are_embedded_once(tiny, inputs, monkeypatch):
    seen = {"embed_image": [], "embed_text": []}
    for name, calls in seen.items():
        plain = getattr(tiny, name)

        def counted(*tensors, plain=plain, calls=calls):
            calls.append({row.numpy().tobytes() for row in tensors[0]})
            return plain(*tensors)

        monkeypatch.setattr(tiny, name, counted)
    dumped(tiny, inputs)
    for name, count in (("embed_image", 100), ("embed_text", 90)):
        assert sum(map(len, seen[name])) == count
    assert len(seen["embed_image"]) == -(-100 // BATCH)


def test_pictures_that_no_row_shows_any_more_are_no_stumbling_block(tiny, inputs, tmp_path):
    kept = np.flatnonzero((inputs.pictures.index < BATCH) & (inputs.captions.index < BATCH))
    pictures, captions = inputs.pictures, inputs.captions
    left = Inputs(
        Pictures(pictures.pixels, pictures.hashes, pictures.digests, pictures.index[kept]),
        Captions(captions.tokens, captions.index[kept], 0, 0),
    )
    names = np.array([str(row) for row in kept], object)
    rows = Rows(names, names, *(np.zeros(len(kept)),) * 4)
    own, dims = tmp_path / "space_0.h5", (tiny.image.dim, tiny.text.dim)
    with writing_space(own, len(kept), *dims, joint=True) as space:
        embed(tiny, left, space.write, space.read)
        space.describe({})
    join_spaces(tmp_path / "features.h5", rows, {}, {"space_0": own})
    whole = dumped(tiny, inputs)
    found = read_features(tmp_path / "features.h5").spaces[0]
    assert np.array_equal(found.image, whole["image"][kept])
    assert np.array_equal(found.text, whole["text"][kept])


def test_a_device_without_room_for_a_batch_is_given_halves(tiny, inputs, monkeypatch, capsys):
    whole, forward, sizes = dumped(tiny, inputs), JointModel.embed_image, []

    def guarded(model, pixels):
        sizes.append(len(pixels))
        if len(pixels) > BATCH / 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, pixels)

    monkeypatch.setattr(JointModel, "embed_image", guarded)
    memory._say_halved.cache_clear()
    parts = dumped(tiny, inputs)
    assert min(sizes) == BATCH / 4
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, atol=1e-5)
    assert capsys.readouterr().err.count("no memory for a whole batch") == 1


def test_a_device_without_room_for_one_meme_is_a_user_error(tiny, inputs, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(JointModel, "embed_text", full)
    with pytest.raises(UserError, match="no memory for a single meme"):
        dumped(tiny, inputs)
