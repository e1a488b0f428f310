"""A damaged features.h5 is either refused or still read as it was written."""

import os

import numpy as np
import pytest

from features.feature_table import Rows
from features.hdf5_store import SCHEMA, join_spaces, read_features
from features.space_files import writing_space
from runtime.errors import UserError

COUNT = 40
CASES = 600


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Path and bytes of a features.h5 with two spaces and non-ASCII ids."""
    folder, rng = tmp_path_factory.mktemp("runs") / "mine", np.random.default_rng(0)
    every = np.arange(COUNT)
    rows = Rows(
        id=np.array([f"00{number}é" for number in every], dtype=object),
        split=np.where(every < 30, "train", "test").astype(object),
        label=np.where(every < 30, every % 2, -1).astype(np.int8),
        group=every.astype(np.int32),
        fold=np.where(every < 30, every % 3, -1).astype(np.int16),
        order=np.where(every < 30, -1, every - 30).astype(np.int32),
    )
    spaces = {}
    for name in ("space_0", "pretrained"):
        spaces[name] = folder / f"{name}.h5"
        with writing_space(spaces[name], COUNT, 6, 4, joint=name == "space_0") as space:
            space.write("image", every, rng.normal(size=(COUNT, 6)))
            space.write("text", every, rng.normal(size=(COUNT, 4)))
            if name == "space_0":
                space.write("joint_logit", every, rng.normal(size=COUNT))
                space.write("seen", every, every < 20)
            space.set_attributes({"history": [{"epoch": 1, "loss": 0.5}]})
    path = folder / "features.h5"
    join_spaces(path, rows, {"stamp": "s", "config": {"seed": 0}}, spaces)
    return path, path.read_bytes()


def content(path):
    """Everything that stage two reads."""
    table = read_features(path)
    arrays = [*vars(table.rows).values()]
    for space in table.spaces:
        arrays += [space.image, space.text, space.seen, space.monitored, space.joint_logit]
    texts = [table.attributes, *((space.name, space.attributes) for space in table.spaces)]
    return [a if a is None else a.tolist() for a in arrays], texts


def test_non_ascii_ids_round_trip(intact):
    path, _ = intact
    ids = read_features(path).rows.id
    assert (ids[7], type(ids[7])) == ("007é", str)


def test_damaged_bytes_are_refused_or_harmless(intact, tmp_path):
    path, original = intact
    expected, damaged = content(path), tmp_path / "runs" / "mine.h5"
    damaged.parent.mkdir()
    rng = np.random.default_rng(0)
    refused = 0
    cases = CASES * int(os.environ.get("FUZZ", "1"))
    for case in range(cases):
        data, start = bytearray(original), int(rng.integers(len(original)))
        end = start + int(rng.integers(1, 64))
        if case % 3 == 0:
            data[start] ^= 1 << int(rng.integers(8))
        else:
            data[start:end] = rng.bytes(end - start) if case % 3 == 1 else bytes(end - start)
        damaged.write_bytes(data)
        try:
            assert content(damaged) == expected, f"case {case}"
        except UserError as error:
            assert str(damaged) in str(error)
            refused += 1
    # Harmless: gaps in the file, and zeros written over zeros.
    assert refused > 0.7 * cases


def test_file_truncated_anywhere_is_refused(intact, tmp_path):
    _, original = intact
    for length in range(0, len(original), 40):
        truncated = tmp_path / "features.h5"
        truncated.write_bytes(original[:length])
        with pytest.raises(UserError, match=r"features\.h5"):
            content(truncated)


def test_hdf5_format_has_metadata_checksums(intact):
    # Superblocks and object headers have checksums since their version 2.
    _, original = intact
    assert original[8] >= 2
    assert b"OHDR" in original
    assert b"GCOL" not in original, "variable-length texts are stored without checksums"
    assert SCHEMA == 4
