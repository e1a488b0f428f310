"""A change of settings creates only the spaces again that it affects."""

import json
import resource
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from run_folders import edit

from extract.config import EMBEDDING_SETTINGS
from extract.run import extract
from extract.spaces import all_spaces, dump_embeddings
from extract.spaces.checkpoint import read_checkpoint
from extract.spaces.reuse_spaces import is_affected
from features.hdf5_store import read_attributes, read_features
from runtime.errors import UserError
from runtime.files.json_files import read_json, write_json

TUNED = {"space_0", "space_1"}
ALL = TUNED | {"pretrained", "lexical"}
pytestmark = pytest.mark.usefixtures("fake_training")


@pytest.fixture
def created(monkeypatch):
    """Names of the spaces that are created from now on."""
    names, create_space = set(), all_spaces._create_space

    def recorded(setup, name):
        names.add(name)
        create_space(setup, name)

    monkeypatch.setattr(all_spaces, "_create_space", recorded)
    return names


def spaces_of(run):
    """Return the arrays of each space."""
    table = read_features(run / "features.h5")
    return {
        space.name: [getattr(space, name) for name in ("image", "text", "joint_logit", "seen")]
        for space in table.spaces
    }


def assert_same_spaces(one, other):
    assert one.keys() == other.keys()
    for name, arrays in one.items():
        for found, expected in zip(arrays, other[name], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        ({"epochs": 1}, TUNED),
        ({"fusion": "mlp"}, TUNED),
        ({"lr_image": 0.1, "batch_size": 8}, TUNED),
        ({"folds": 1}, {"space_0"}),
        ({"seed": 1}, TUNED | {"lexical"}),
        ({"max_tokens": 6}, ALL),
        ({"text_pooling": "first"}, ALL),
        ({"image_size": 48}, ALL),
    ],
)
def test_affected_spaces_are_created_again(run, tiny_config, tmp_path, created, change, affected):
    config = replace(tiny_config, **change)
    extract(config, run, force=True)
    assert created == affected
    extract(config, tmp_path / "fresh")
    assert_same_spaces(spaces_of(run), spaces_of(tmp_path / "fresh"))
    stamp = read_attributes(run / "features.h5")["stamp"]
    for name in spaces_of(run):
        assert read_checkpoint(run / "backbones" / name).stamp == stamp


def test_edited_caption_affects_every_space(run, tiny_config, data, created):
    edit(data, "train", 0, "text", "other words")
    extract(replace(tiny_config, data=str(data)), run, force=True)
    assert created == ALL


def test_force_on_an_up_to_date_run_creates_every_space_again(run, tiny_config, created):
    extract(tiny_config, run, force=True)
    assert created == ALL


@pytest.mark.parametrize("name", sorted(ALL))
def test_only_missing_backbones_are_created_again(run, tiny_config, created, name):
    before = spaces_of(run)
    shutil.rmtree(run / "backbones" / name)
    extract(tiny_config, run)
    # The lexical space contains the pretrained space's image embeddings.
    assert created == ({name, "lexical"} if name == "pretrained" else {name})
    after = spaces_of(run)
    # The fixture `fake_training` replaces the training by one that ends with other weights.
    for space in TUNED & {name}:
        assert after.pop(space)[0].shape == before.pop(space)[0].shape
    assert_same_spaces(after, before)


def test_force_replaces_a_damaged_features_file(run, tiny_config, created, capsys):
    path = run / "features.h5"
    path.write_bytes(path.read_bytes()[:-100])
    extract(replace(tiny_config, epochs=1), run, force=True)
    assert created == ALL
    assert "no space is reused" in capsys.readouterr().err


def test_space_with_a_flipped_bit_is_not_reused(run, tiny_config, created, capsys):
    path = run / "features.h5"
    image = next(s.image for s in read_features(path).spaces if s.name == "pretrained")
    content = bytearray(path.read_bytes())
    content[bytes(content).index(image.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    extract(replace(tiny_config, epochs=1), run, force=True)
    assert created == ALL
    assert "pretrained is not reused" in capsys.readouterr().err


def test_reused_checkpoint_has_the_column_flags_of_the_new_run(run, tiny_config, created):
    extract(replace(tiny_config, label_column="label"), run, force=True)
    assert created == TUNED
    assert read_checkpoint(run / "backbones" / "pretrained").columns["label"] == "label"


def test_error_lists_the_spaces_that_force_would_create_again(run, tiny_config):
    with pytest.raises(
        UserError, match=r"pass --force, which creates these spaces again: space_0, space_1\."
    ):
        extract(replace(tiny_config, epochs=1), run)


def test_interrupted_after_reuse_the_next_call_gives_the_same_spaces(
    run, tiny_config, tmp_path, monkeypatch
):
    config = replace(tiny_config, epochs=1)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dump_embeddings, "embed", interrupted)
        extract(config, run, force=True)
    extract(config, run, force=True)
    extract(config, tmp_path / "fresh")
    assert_same_spaces(spaces_of(run), spaces_of(tmp_path / "fresh"))


def test_other_weights_affect_every_space():
    old = {"fingerprint": "f", "weights": ["a", "b"], "config": {"seed": 0}, "frozen": {}}
    assert all(is_affected(name, old, {**old, "weights": ["a", "c"]}) for name in ALL)


def test_setting_unknown_to_an_older_version_affects_only_spaces_that_depend_on_it():
    config = {"seed": 0, **dict.fromkeys(EMBEDDING_SETTINGS, 1)}
    old = {"fingerprint": "f", "weights": [], "config": config, "frozen": {}}
    new = {**old, "config": {**config, "new_setting": 1}}
    assert is_affected("space_0", old, new)
    assert not is_affected("pretrained", old, new)


def test_records_of_other_features_are_written_again(run, tiny_config, created, capsys):
    path = run / "data.json"
    stamp = read_json(path, "extract")["stamp"]
    write_json(path, {**read_json(path, "extract"), "stamp": "another"})
    extract(tiny_config, run)
    assert created == set()
    assert "data.json belongs to another features.h5" in capsys.readouterr().err
    assert read_json(path, "extract")["stamp"] == stamp


@pytest.mark.parametrize("name", ["data.json", "config.json", "memes.jsonl", "near_duplicates.csv"])
def test_missing_or_damaged_records_are_written_again_and_nothing_else(
    run, tiny_config, created, capsys, name
):
    (run / "heads").mkdir()
    features, path = (run / "features.h5").stat().st_mtime_ns, run / name
    content = path.read_text()
    if path.suffix == ".json":
        path.write_text(content.replace("1", "2"))
    else:
        path.unlink()
    extract(tiny_config, run)
    assert created == set()
    assert name in capsys.readouterr().err
    assert path.read_text() == content
    assert (run / "heads").is_dir()
    assert (run / "features.h5").stat().st_mtime_ns == features
    extract(tiny_config, run)
    assert "up to date" in capsys.readouterr().err


def test_group_column_is_added_to_a_finished_run_and_nothing_is_created(run, tiny_config, created):
    features = (run / "features.h5").stat().st_mtime_ns
    extract(replace(tiny_config, group_column="text"), run)
    lines = (run / "memes.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(" ".join(m["caption"].split()) == m["slice"] for m in map(json.loads, lines))
    assert read_json(run / "data.json", "extract")["group_column"] == "text"
    assert created == set()
    assert (run / "features.h5").stat().st_mtime_ns == features
    extract(tiny_config, run)
    assert "slice" not in (run / "memes.jsonl").read_text(encoding="utf-8").partition("\n")[0]


@pytest.mark.parametrize("name", ["pretrained", "lexical"])
def test_damaged_backbones_are_not_reused(run, tiny_config, created, capsys, name):
    file = "text/model.safetensors" if name == "pretrained" else "axes.npz"
    path = run / "backbones" / name / file
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    extract(replace(tiny_config, epochs=1), run, force=True)
    # The lexical space contains the pretrained space's image embeddings.
    assert created == TUNED | {name, "lexical"}
    assert f"{name} is not reused" in capsys.readouterr().err


def test_space_from_another_device_is_not_reused(run, tiny_config, created, capsys):
    for name in ("pretrained", "lexical"):
        path = run / "backbones" / name / "checkpoint.json"
        write_json(path, {**read_json(path, "extract"), "machine": "cuda:0, in bf16"})
    extract(replace(tiny_config, epochs=1), run, force=True)
    assert created == ALL
    assert "pretrained is not reused: it was created on cuda:0, in bf16" in capsys.readouterr().err


def test_full_disk_is_not_mistaken_for_damage(run, tiny_config, created):
    shutil.rmtree(run / "backbones" / "space_1")
    before = (run / "features.h5").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"embeddings\.h5 cannot be written"):
            extract(tiny_config, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert created == set()
    assert (run / "features.h5").read_bytes() == before
