"""--split: rows are divided at random, near-duplicates stay together."""

from dataclasses import replace

import numpy as np
import pytest

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.load_data import LoadedData
from extract.data.tokenisation import Captions
from extract.folds.random_split import describe, divide_rows
from runtime.errors import UserError

SHARES = (0.7, 0.1, 0.2)


@pytest.fixture
def loaded(make_table):
    """200 memes, two of each picture, half of the pairs positive."""
    index = np.repeat(np.arange(100), 2)
    hashes = np.random.default_rng(0).integers(0, 2**63, 100, dtype=np.uint64)
    pictures = Pictures(None, hashes, [f"{n}" for n in range(100)], index)
    table = make_table(index, [f"{n} or {n * 3} and {n * 7}" for n in range(200)], "train")
    table = replace(table, rows=table.rows.assign(label=(index % 2).astype(np.int8), order=-1))
    captions = Captions([], np.arange(200), pad_id=0, truncated=0)
    return LoadedData(table, Inputs(pictures, captions), [])


def test_shares_classes_order_and_inputs(loaded):
    divided = divide_rows(loaded, SHARES, seed=0)
    rows = divided.table.rows
    counts = rows["split"].value_counts().to_dict()
    assert counts == pytest.approx({"train": 140, "val": 20, "test": 40}, abs=10)
    assert rows["split"].tolist() == sorted(rows["split"], key=["train", "val", "test"].index)
    assert rows["order"][rows["split"] == "test"].tolist() == list(range(counts["test"]))
    assert (rows["order"][rows["split"] != "test"] == -1).all()
    for split in counts:
        assert rows["label"][rows["split"] == split].mean() == pytest.approx(0.5, abs=0.1)
    # Pictures and captions follow their rows.
    assert divided.inputs.captions.index.tolist() == rows["id"].astype(int).tolist()
    assert divided.inputs.pictures.index.tolist() == [int(i) // 2 for i in rows["id"]]
    assert describe(divided, 0).startswith("--split: the rows are divided at random (seed 0)")


def test_near_duplicates_stay_together_and_the_seed_decides(loaded):
    split = {}
    for seed in (0, 0, 1):
        rows = divide_rows(loaded, SHARES, seed).table.rows
        by_picture = rows.groupby(rows["id"].astype(int) // 2)["split"].nunique()
        assert (by_picture == 1).all()
        split[seed] = [*split.get(seed, []), rows["id"].tolist()]
    assert split[0][0] == split[0][1] != split[1][0]


def test_too_few_rows_are_refused(loaded):
    few = loaded.table.rows.iloc[:4].reset_index(drop=True)
    pictures = replace(loaded.inputs.pictures, index=loaded.inputs.pictures.index[:4])
    inputs = replace(loaded.inputs, pictures=pictures)
    small = replace(loaded, table=replace(loaded.table, rows=few), inputs=inputs)
    with pytest.raises(UserError, match="4 rows are too few"):
        divide_rows(small, SHARES, seed=0)
