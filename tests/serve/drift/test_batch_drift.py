"""`predict` compares all memes of a table, also those of a command that was killed."""

import polars
import pytest

from runtime.files.json_files import read_json
from serve import table_predictions
from serve.config import PredictConfig
from serve.drift import batch_drift, drift_tests
from serve.shards.predict_shards import predict_shards
from serve.table_predictions import predict_table


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(table_predictions, "PART_ROWS", 10)
    monkeypatch.setattr(drift_tests, "MIN_MEMES", 20)
    monkeypatch.setattr(batch_drift, "MIN_MEMES", 20)


@pytest.fixture(scope="module")
def long_captions(tiny_sample, tmp_path_factory):
    """A table of 32 memes with 24 captions, four times as long as usual, and one meme again."""
    table = polars.read_csv(tiny_sample / "test.csv", schema_overrides={"id": str})
    table = table.with_columns(text=polars.concat_str(*["text"] * 4, separator=" "))
    again = table.head(1).with_columns(id=polars.lit("again"))
    path = tmp_path_factory.mktemp("long") / "long.csv"
    (path.parent / "img").symlink_to(tiny_sample / "img")
    polars.concat([table, again]).write_csv(path)
    return path


@pytest.fixture
def predict(checked_run, long_captions, tmp_path):
    """f(**settings) -> the rows that were written."""

    def run(run=checked_run, **settings):
        settings = {"data": str(long_captions), "device": "cpu"} | settings
        parts = []
        predict_table(PredictConfig(**settings), run, parts.append)
        return "".join(parts)

    return run


def full_disk(*_):
    raise OSError("full")


def test_drift_is_said_and_written_also_after_a_kill(
    predict, killed, tmp_path, monkeypatch, capsys
):
    once = tmp_path / "once.csv"
    predict(out=str(once), audit=True)
    said = capsys.readouterr().err
    assert said.count("drift: captions are longer than in training: median") == 1
    assert "24 memes)" in said  # a caption counts once
    audit = read_json(tmp_path / "once.csv.drift.json", "predict")
    assert "caption_tokens" in audit["drifted"] and audit["distinct_memes"] == 24
    assert audit["quantities"]["caption_tokens"]["batch_median"] > 20 and audit["stamp"]

    out, drift = tmp_path / "killed.csv", tmp_path / "killed.csv.drift.json"
    with killed():
        predict(out=str(out), audit=True)
    partial = tmp_path / "killed.csv.partial"
    partial.write_bytes(partial.read_bytes()[:-7])
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(table_predictions, "finish", full_disk)
        predict(out=str(out), audit=True)
    assert not out.exists() and read_json(drift, "predict") == audit
    capsys.readouterr()
    predict(out=str(out), audit=True)
    assert out.read_text() == once.read_text()
    assert (
        read_json(drift, "predict") == audit
        and "drift: captions are longer" in capsys.readouterr().err
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.csv{end}" for name in ("killed", "once") for end in ("", ".drift.json")
    ]


@pytest.mark.parametrize("change", [{"audit": False}, {"older": True}])
def test_comparisons_with_results_that_are_replaced_are_removed(
    predict, scored_run, tmp_path, change
):
    out, drift = tmp_path / "scores.csv", tmp_path / "scores.csv.drift.json"
    predict(out=str(out), audit=True)
    assert drift.is_file()
    run = {"run": scored_run} if change.pop("older", False) else {}
    predict(**run, **{"out": str(out), "audit": True} | change)
    assert out.is_file() and not drift.exists()


def test_few_memes_and_runs_of_older_versions_are_told_and_scored_alike(
    predict, scored_run, tiny_sample, monkeypatch, capsys
):
    monkeypatch.setattr(drift_tests, "MIN_MEMES", 50)
    monkeypatch.setattr(batch_drift, "MIN_MEMES", 50)
    table = str(tiny_sample / "test.csv")
    rows = predict(data=table)
    assert "no check for drift: 24 distinct memes; at least 50" in capsys.readouterr().err
    assert predict(run=scored_run, data=table) == rows
    said = capsys.readouterr().err
    assert said.count("drift") == 2 and "To get it, run, with the same flags" in said
    predict(run=scored_run, data=None, text="a caption")
    assert "drift" not in capsys.readouterr().err


def test_each_shard_is_a_batch(checked_run, long_captions, tmp_path, capsys):
    out = tmp_path / "scores"
    settings = {"data": str(long_captions.parent), "out": str(out), "device": "cpu"}
    assert predict_shards(PredictConfig(**settings, audit=True), checked_run)
    assert "long.csv: drift: captions are longer" in capsys.readouterr().err
    audit = read_json(out / ".memefuse" / "long.csv.drift.json", "predict")
    assert audit["distinct_memes"] == 24
