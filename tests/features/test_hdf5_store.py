"""features.h5: what is written is read back, and an incomplete or damaged file is refused."""

import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

from features.feature_table import Rows
from features.features_file import require_features
from features.hdf5_store import (
    join_spaces,
    read_attributes,
    read_blocks,
    read_features,
    read_space_names,
)
from features.space_files import copy_embeddings, read_width, writing_space
from runtime.errors import UserError

COUNT = 12
REMEDY = "Delete it, then run with the same flags as before: python pipeline.py extract --run mine"
PER_ROW = ("image", "text", "joint_logit", "seen", "monitored")
ATTRIBUTES = {"stamp": "s", "id_column": "ID", "config": {"seed": 3}}
WIDTHS = {"space_0": (3, 2), "pretrained": (5, 4)}
"""Image and text columns of each space."""


def make_rows():
    ids = ["007", "7", "", "ü, 😀", 'say "no"', *(str(n) for n in range(100, COUNT + 95))]
    return Rows(
        id=np.array(ids, dtype=object),
        split=np.array(["train", "val", "test"] * (COUNT // 3), dtype=object),
        label=np.tile([0, 1, -1], COUNT // 3).astype(np.int8),
        group=np.arange(COUNT, dtype=np.int32) // 2,
        fold=np.tile([0, 1, -1], COUNT // 3).astype(np.int16),
        order=np.arange(COUNT, dtype=np.int32)[::-1] - 1,
    )


def make_values(widths):
    rng = np.random.default_rng(widths)
    image, text = (rng.normal(size=(COUNT, width)).astype(np.float32) for width in widths)
    logit = rng.normal(size=COUNT).astype(np.float32)
    seen, monitored = rng.integers(0, 2, (2, COUNT)).astype(bool)
    return dict(zip(PER_ROW, (image, text, logit, seen, monitored), strict=True))


def fill_space(
    path, widths=(3, 2), joint=True, batches=(range(COUNT),), left_out=(), dtype="float32"
):
    """Write the file of one space; the datasets `left_out` stay unwritten."""
    with writing_space(path, COUNT, *widths, joint, dtype) as space:
        space.set_attributes({"widths": list(widths)})
        for name, values in make_values(widths).items():
            if name not in left_out and (joint or name != "joint_logit"):
                for batch in batches:
                    space.write(name, np.asarray(batch), values[batch])
    return path


def fill(path, names=WIDTHS, **settings):
    """Write features.h5 with the spaces `names`; only fine-tuned ones have joint logits."""
    spaces = {
        name: fill_space(
            path.parent / f"{name}.h5", WIDTHS.get(name, (3, 2)), name[:6] == "space_", **settings
        )
        for name in names
    }
    join_spaces(path, make_rows(), ATTRIBUTES, spaces)
    for space in spaces.values():
        space.unlink()
    return path


def read_error(path):
    with pytest.raises(UserError) as error:
        read_features(path)
    return str(error.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "mine" / "features.h5"


def test_features_round_trip_with_their_types(path):
    table = read_features(fill(path))
    for name, expected in vars(make_rows()).items():
        found = getattr(table.rows, name)
        assert found.dtype == expected.dtype
        assert found.tolist() == expected.tolist()
    assert len(table) == COUNT
    assert [space.name for space in table.spaces] == list(WIDTHS)
    for space, widths in zip(table.spaces, WIDTHS.values(), strict=True):
        assert space.attributes == {"widths": list(widths)}
        for name, expected in make_values(widths).items():
            found = getattr(space, name)
            if found is not None:
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)
    assert table.attributes == read_attributes(path) == ATTRIBUTES


def test_float16_embeddings_are_read_as_float32_and_nothing_else_is_rounded(path):
    table = read_features(fill(path, dtype="float16"))
    for space, widths in zip(table.spaces, WIDTHS.values(), strict=True):
        expected = make_values(widths)
        for name in ("image", "text"):
            found, rounded = getattr(space, name), expected[name].astype(np.float16)
            assert found.dtype == np.float32 and (found != expected[name]).any()
            np.testing.assert_array_equal(found, rounded)
            (_, *block), *_ = read_blocks(path, space.name)
            np.testing.assert_array_equal(block[name == "text"], found)
    np.testing.assert_array_equal(table.spaces[0].joint_logit, make_values((3, 2))["joint_logit"])


def test_float16_takes_half_of_the_bytes(path, tmp_path):
    for dtype in ("float32", "float16"):
        with writing_space(tmp_path / dtype, 1000, 50, 50, False, dtype) as space:
            for name in ("image", "text"):
                space.write(name, np.arange(1000), np.ones((1000, 50)))
    large, small = ((tmp_path / dtype).stat().st_size for dtype in ("float32", "float16"))
    assert 190_000 < large - small < 210_000


@pytest.mark.parametrize(("value", "found"), [(70_000.0, "70000"), (-1e30, "1e+30")])
def test_value_beyond_float16_is_named_and_leaves_no_file(path, value, found):
    values = np.ones((1, 3))
    values[0, 1] = value
    with (
        pytest.raises(UserError, match=f"text embeddings: found {re.escape(found)}, .* 65,504"),
        writing_space(path, COUNT, 3, 3, False, "float16") as space,
    ):
        space.write("text", np.arange(1), values)
    assert not path.exists()


def test_arrays_start_at_a_multiple_of_64_bytes(path):
    with writing_space(path, 1000, 3, 2, joint=False) as space:
        space.write("image", np.arange(1000), np.ones((1000, 3)))
        space.write("text", np.arange(1000), np.ones((1000, 2)))
    with h5py.File(path) as file:
        assert [file[name].id.get_offset() % 64 for name in ("image", "text")] == [0, 0]


def test_only_spaces_with_a_fusion_head_have_joint_logits(path):
    fine_tuned, pretrained = read_features(fill(path)).spaces
    assert fine_tuned.joint_logit is not None
    assert pretrained.joint_logit is None


def test_batches_can_be_written_in_any_order(path):
    shuffled = np.random.default_rng(0).permutation(COUNT)
    space = read_features(fill(path, batches=np.split(shuffled, 3))).spaces[0]
    for name, expected in make_values((3, 2)).items():
        np.testing.assert_array_equal(getattr(space, name), expected)


def test_written_rows_can_be_read_while_writing(path):
    with writing_space(path, COUNT, 3, 2, joint=False) as space:
        space.write("image", np.array([5, 4]), np.array([[5.0] * 3, [4.0] * 3]))
        assert space.read("image", slice(4, 6)).tolist() == [[4.0] * 3, [5.0] * 3]
        space.set_attributes({})


def test_spaces_keep_the_order_in_which_they_were_joined(path):
    names = [*(f"space_{number}" for number in range(11)), "pretrained", "lexical"]
    fill(path, names)
    assert read_space_names(path) == names
    assert [space.name for space in read_features(path).spaces] == names


def test_seen_and_monitored_default_to_false(path):
    space = read_features(fill(path, left_out=("seen", "monitored"))).spaces[0]
    assert not space.seen.any() and not space.monitored.any()


def test_same_content_gives_the_same_bytes(tmp_path):
    assert fill(tmp_path / "a.h5").read_bytes() == fill(tmp_path / "b.h5").read_bytes()


def test_embeddings_are_not_read_if_not_asked_for(path):
    with h5py.File(fill(path), "a") as file:
        file["space_0/image"][0] = file["space_0/text"][0] = np.nan
    space = read_features(path, embeddings=False).spaces[0]
    assert (space.image.shape, space.text.shape) == ((COUNT, 0), (COUNT, 0))
    np.testing.assert_array_equal(space.joint_logit, make_values((3, 2))["joint_logit"])


@pytest.mark.parametrize("block_rows", [1, 3, 1000])
def test_one_space_is_read_in_blocks_without_the_others(path, monkeypatch, block_rows):
    monkeypatch.setattr("features.hdf5_checksums.BLOCK_ROWS", block_rows)
    with h5py.File(fill(path), "a") as file:
        file["space_0/image"][COUNT - 1] = np.nan
    copied = [(rows, *map(np.copy, block)) for rows, *block in read_blocks(path, "pretrained")]
    rows, *blocks = zip(*copied, strict=True)
    assert [row for part in rows for row in range(COUNT)[part]] == list(range(COUNT))
    for found, name in zip(blocks, PER_ROW, strict=False):
        assert max(map(len, found)) <= block_rows
        np.testing.assert_array_equal(np.concatenate(found), make_values((5, 4))[name])
    with pytest.raises(UserError, match="space_0/image"):
        list(read_blocks(path, "space_0"))


def test_image_embeddings_are_copied_to_another_space(path, tmp_path, monkeypatch):
    monkeypatch.setattr("features.hdf5_checksums.BLOCK_ROWS", 5)
    source, target = fill_space(path), tmp_path / "other.h5"
    assert (read_width(source, "image"), read_width(source, "text")) == (3, 2)
    with writing_space(target, COUNT, 3, 1, joint=False) as space:
        copy_embeddings(source, "image", space)
        np.testing.assert_array_equal(
            space.read("image", slice(0, COUNT)), make_values((3, 2))["image"]
        )


@pytest.mark.parametrize("name", ["image", "text", "joint_logit"])
def test_unwritten_dataset_is_named(path, name):
    message = read_error(fill(path, left_out=name))
    assert f"space_0/{name} " in message
    assert "holds values that are not finite" in message or "is not as extract" in message


def test_one_unwritten_row_is_refused(path):
    assert "space_0/image" in read_error(fill(path, batches=[np.arange(COUNT - 1)]))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_space_leaves_no_file(path, error):
    with pytest.raises(error), writing_space(path, COUNT, 3, 2, joint=True):
        raise error
    assert list(path.parent.iterdir()) == []


def test_failed_join_leaves_the_old_file(path):
    before = fill(path).read_bytes()
    with pytest.raises(UserError, match=r"gone\.h5 is damaged"):
        join_spaces(path, make_rows(), ATTRIBUTES, {"space_0": path.with_name("gone.h5")})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_mistyped_run_names_the_runs_that_exist(tmp_path):
    (tmp_path / "contest").mkdir()
    (tmp_path / "contest" / "features.h5").touch()
    with pytest.raises(UserError, match=r'there is no run .*those with features are "contest"'):
        require_features(tmp_path / "cntest" / "features.h5")


@pytest.mark.parametrize("read", [read_features, read_attributes, read_space_names])
def test_missing_file_names_the_command_to_run(path, read):
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value) == f"{path} is missing. Run first: python pipeline.py extract"


@pytest.mark.parametrize("length", [0, 100, 2000, -1])
def test_truncated_file_is_refused_with_a_remedy(path, length):
    intact = fill(path).read_bytes()
    path.write_bytes(intact[:length])
    message = read_error(path)
    assert "is not a complete HDF5 file" in message
    assert message.endswith(REMEDY)


def test_file_that_a_notebook_has_open_for_writing_is_not_called_damaged(path):
    """HDF5 marks the file. The mark stays if the notebook is killed."""
    opened = f"import h5py, os; file = h5py.File({str(fill(path))!r}, 'r+'); os._exit(0)"
    subprocess.run([sys.executable, "-c", opened], check=True)
    for read in (read_features, read_attributes, read_space_names):
        with pytest.raises(UserError, match=r"such as a notebook.*so keep it. Close it"):
            read(path)


@pytest.mark.parametrize("part", [b"OHDR", b"FALSE"])
def test_damaged_metadata_is_refused(path, part):
    intact = fill(path).read_bytes()
    assert part in intact
    # The last occurrence is read only after the file was opened.
    before, _, after = intact.rpartition(part)
    path.write_bytes(before + bytes(4) + after)
    assert REMEDY in read_error(path)


def test_unfinished_file_is_refused(path):
    with h5py.File(fill(path), "a") as file:
        del file.attrs["finished"]
    assert "is unfinished" in read_error(path)


@pytest.mark.parametrize("schema", [1, 99])
def test_other_schema_is_refused(path, schema):
    with h5py.File(fill(path), "a") as file:
        file.attrs["schema"] = schema
    message = read_error(path)
    assert f"has schema {schema}, this version reads 4" in message
    assert message.endswith(REMEDY)


@pytest.mark.parametrize("name", PER_ROW)
def test_dataset_of_wrong_length_is_named(path, name):
    with h5py.File(fill(path), "a") as file:
        short = file[f"space_0/{name}"][:-1]
        del file[f"space_0/{name}"]
        file[f"space_0/{name}"] = short
    assert f"space_0/{name} has {COUNT - 1} rows, rows/id has {COUNT}" in read_error(path)


@pytest.mark.parametrize("name", ["image", "seen"])
def test_missing_dataset_is_named(path, name):
    with h5py.File(fill(path), "a") as file:
        del file[f"space_0/{name}"]
    assert f"space_0/{name} is missing, allowed: data in the file" in read_error(path)


@pytest.mark.parametrize("name", [*PER_ROW, "rows/id", "rows/label", "rows/order"])
def test_changed_value_is_detected(path, name):
    where = name if "/" in name else f"space_0/{name}"
    with h5py.File(fill(path), "a") as file:
        stored = file[where]
        kind = stored.dtype.kind
        stored[3] = "other" if kind == "O" else ~stored[3] if kind == "b" else 99
    assert f"{where} is damaged: its checksum differs" in read_error(path)
    if name in ("image", "text"):
        with pytest.raises(UserError, match="checksum"):
            list(read_blocks(path, "space_0"))


def test_damaged_space_is_not_joined(path, tmp_path):
    source = fill_space(path)
    with h5py.File(source, "a") as file:
        file["image"][3, 1] += 1
    with pytest.raises(UserError, match=f"{source.name}: image is damaged"):
        join_spaces(tmp_path / "joined.h5", make_rows(), ATTRIBUTES, {"space_0": source})
    assert not (tmp_path / "joined.h5").exists()


@pytest.mark.parametrize("kind", ["soft link", "link to a file", "virtual", "external", "bomb"])
@pytest.mark.parametrize("name", ["space_0/image", "space_0/seen", "rows/label"])
def test_datasets_outside_the_file_are_refused(path, tmp_path, kind, name):
    other = fill(tmp_path / "other.h5")
    with h5py.File(fill(path), "a") as file:
        old = file[name]
        shape, dtype, checksum, values = old.shape, old.dtype, old.attrs["xxh3"], old[:]
        del file[name]
        if kind == "soft link":
            file["aside"] = values
            file[name] = h5py.SoftLink("/aside")
        elif kind == "link to a file":
            file[name] = h5py.ExternalLink(str(other), name)
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(other), name, shape)
            file.create_virtual_dataset(name, layout)
        elif kind == "external":
            raw = tmp_path / "raw.bin"
            raw.write_bytes(values.tobytes())
            file.create_dataset(name, shape, dtype, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        else:
            # A terabyte of fill values that are not stored in the file.
            file.create_dataset(name, (COUNT, 2**36)[: len(shape)], dtype)
        if not kind.endswith(("link", "file")):
            file[name].attrs["xxh3"] = checksum
    message = read_error(path)
    assert "allowed: data in the file" in message or "is not as extract writes it" in message


def test_space_linked_from_another_file_is_refused(path, tmp_path):
    other = fill(tmp_path / "other.h5")
    with h5py.File(fill(path), "a") as file:
        del file["space_0"]
        file["space_0"] = h5py.ExternalLink(str(other), "space_0")
    assert "space_0 is a ExternalLink, allowed: data in the file" in read_error(path)


def test_huge_values_are_finite(path):
    with writing_space(path, COUNT, 3, 2, joint=False) as space:
        for name, width in (("image", 3), ("text", 2)):
            space.write(name, np.arange(COUNT), np.full((COUNT, width), 3e38, np.float32))
        space.set_attributes({})
    join_spaces(path.with_name("joined.h5"), make_rows(), ATTRIBUTES, {"pretrained": path})
    assert read_features(path.with_name("joined.h5")).spaces[0].image.max() > 2e38
