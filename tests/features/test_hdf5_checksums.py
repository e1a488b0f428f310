"""Whatever happens to the bytes of features.h5, it is read as it was written, or refused."""

import os

import numpy as np
import pytest

from features.feature_table import Rows
from features.hdf5_store import SCHEMA, join_spaces, read_features, writing_space
from runtime.errors import UserError

COUNT = 40
CASES = 1200


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Path and bytes of a features.h5 of two spaces, with ids of more than ASCII."""
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
            space.describe({"history": [{"epoch": 1, "loss": 0.5}]})
    path = folder / "features.h5"
    join_spaces(path, rows, {"stamp": "s", "config": {"seed": 0}}, spaces)
    return path, path.read_bytes()


def content(path):
    """All that stage two is given."""
    table = read_features(path)
    arrays = [*vars(table.rows).values()]
    for space in table.spaces:
        arrays += [space.image, space.text, space.seen, space.monitored, space.joint_logit]
    texts = [table.attributes, *((space.name, space.attributes) for space in table.spaces)]
    return [a if a is None else a.tolist() for a in arrays], texts


def test_ids_come_back_as_they_were(whole):
    path, _ = whole
    ids = read_features(path).rows.id
    assert (ids[7], type(ids[7])) == ("007é", str)


def test_damaged_bytes_are_refused_or_of_no_account(whole, tmp_path):
    path, sound = whole
    expected, damaged = content(path), tmp_path / "runs" / "mine.h5"
    damaged.parent.mkdir()
    rng = np.random.default_rng(0)
    refused = 0
    cases = CASES * int(os.environ.get("FUZZ", "1"))
    for case in range(cases):
        data, place = bytearray(sound), int(rng.integers(len(sound)))
        length = int(rng.integers(1, 64))
        if case % 3 == 0:
            data[place] ^= 1 << int(rng.integers(8))
        else:
            data[place : place + length] = rng.bytes(length) if case % 3 == 1 else bytes(length)
        damaged.write_bytes(data)
        try:
            assert content(damaged) == expected, f"case {case}"
        except UserError as error:
            assert str(damaged) in str(error)
            refused += 1
    # What is of no account: gaps, and zeros where zeros were.
    assert refused > 0.7 * cases


def test_a_file_cut_anywhere_is_refused(whole, tmp_path):
    _, sound = whole
    for length in range(0, len(sound), 40):
        cut = tmp_path / "features.h5"
        cut.write_bytes(sound[:length])
        with pytest.raises(UserError, match=r"features\.h5"):
            content(cut)


def test_the_format_is_one_that_guards_itself(whole):
    # Version 2 and later of a superblock and of object headers carry checksums.
    _, sound = whole
    assert sound[8] >= 2
    assert b"OHDR" in sound
    assert b"GCOL" not in sound, "texts of variable length lie where there are no checksums"
    assert SCHEMA == 3
