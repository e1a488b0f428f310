"""The shards of a folder: none is left out in silence, none replaces a table or another."""

import pytest

from runtime.errors import UserError
from serve.shards.shard_list import list_shards, mark_finished, warn_of_strangers


@pytest.fixture
def make(tmp_path):
    """f(*names) -> a folder of empty files."""

    def create(*names):
        folder = tmp_path / "data"
        folder.mkdir()
        for name in names:
            (folder / name).write_text("")
        return folder

    return create


def test_each_table_keeps_its_format_where_it_can(make, tmp_path):
    shards = list_shards(make("b.tsv", "a.json", "c.parquet", "d.CSV", "._a.csv"), tmp_path / "out")
    assert [one.out.name for one in shards] == ["a.jsonl", "b.csv", "c.parquet", "d.csv"]


def test_files_that_are_no_tables_are_named(make, tmp_path, capsys):
    list_shards(make("a.csv", "b.csv.gz"), tmp_path)
    assert '1 files are no tables and are left out: "b.csv.gz"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "out", "message"),
    [
        (["a.csv", "a.tsv"], "out", "would all be scored into"),
        (["a.csv", "A.csv"], "out", "would all be scored into"),
        (["a.txt"], "out", "holds no table"),
        (["a.csv"], "data", "is also --data"),
        (["a.csv"], "data/a.csv", "is a file"),
    ],
)
def test_folders_that_cannot_be_scored_are_refused(make, tmp_path, names, out, message):
    with pytest.raises(UserError, match=message):
        list_shards(make(*names), tmp_path / out)


def test_one_table_needs_a_file(make, tmp_path):
    with pytest.raises(UserError, match=r"--out .*scores.csv"):
        list_shards(make("a.csv") / "a.csv", tmp_path / "out")


def test_results_without_a_table_are_named(make, tmp_path, capsys):
    data, out = make("a.csv", "b.csv"), tmp_path / "out"
    a, b = list_shards(data, out)
    (out / ".memefuse").mkdir(parents=True)
    for shard in (a, b):
        shard.out.write_text("")
        mark_finished(shard, {})
    warn_of_strangers([a], out)
    assert '"b.csv" are results of tables that are gone' in capsys.readouterr().err
