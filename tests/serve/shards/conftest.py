"""A folder of shards."""

import polars
import pytest


@pytest.fixture
def shards(tiny_sample, tmp_path):
    """Folder of the test memes in three shards of different formats, with their pictures."""
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "img").symlink_to(tiny_sample / "img")
    memes = polars.read_csv(tiny_sample / "test.csv", infer_schema=False)
    memes[:20].write_csv(folder / "a.csv")
    memes[20:21].write_ndjson(folder / "b.jsonl")
    memes[21:].write_parquet(folder / "c.parquet")
    (folder / "README.txt").write_text("")
    return folder
