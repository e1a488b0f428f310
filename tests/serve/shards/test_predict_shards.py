"""Each shard is scored once and whole; one that fails is named, and the others are written."""

import csv
import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import polars
import pytest

from runtime.errors import UserError
from runtime.files.json_files import parse_json, write_json
from serve.config import PredictConfig
from serve.shards import predict_shards as engine
from serve.shards import score_shard as scoring
from serve.shards.predict_shards import predict_shards
from serve.table_predictions import predict_table


class FakeRun(NamedTuple):
    """Like serve.table_predictions.LoadedRun, but every probability is 0.25."""

    config: PredictConfig
    run: Path
    drift: None = None

    def lines(self, reading, batch):
        yield "id,probability,label\n"
        for name in reading[0].rows["id"]:
            yield f"{name},0.25,0\n"


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(engine, "load_run", FakeRun)


@pytest.fixture
def predict(scored_run, shards, tmp_path):
    """f(**settings) -> the folder of results."""

    def run(run=scored_run, **settings):
        out = tmp_path / "scores"
        config = PredictConfig(
            data=str(shards), out=str(out), device="cpu", on_bad_rows="stop", **settings
        )
        assert predict_shards(config, run)
        return out

    return run


@pytest.fixture
def scored(monkeypatch):
    """Names of the tables that were scored."""
    names, read = [], scoring.read_new_memes

    def spy(table, *where):
        names.append(table.name)
        return read(table, *where)

    monkeypatch.setattr(scoring, "read_new_memes", spy)
    return names


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_shards_have_the_rows_of_one_table(predict, scored_run, tiny_sample, capsys):
    out = predict(audit=True)
    assert re.search(r"a\.csv: \d+ captions were truncated", capsys.readouterr().err)
    lines = []
    table = PredictConfig(data=str(tiny_sample / "test.csv"), device="cpu", audit=True)
    predict_table(table, scored_run, lines.append)
    expected = list(csv.DictReader("".join(lines).splitlines()))
    assert names(out) == ["a.csv", "b.jsonl", "c.parquet"]
    b, c = polars.read_ndjson(out / "b.jsonl"), polars.read_parquet(out / "c.parquet")
    found = list(csv.DictReader((out / "a.csv").open())) + b.to_dicts() + c.to_dicts()
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for column in ("probability", "threshold", "label"):
        assert [float(row[column]) for row in found] == [float(row[column]) for row in expected]
    assert c.schema["probability"] == polars.Float64 and found[30]["run"] == scored_run.name


@pytest.mark.usefixtures("fake")
def test_finished_shards_are_not_scored_again(predict, scored, capsys):
    out = predict()
    assert scored == ["a.csv", "b.jsonl", "c.parquet"]
    predict()
    assert len(scored) == 3 and "3 of 3 shards are finished already" in capsys.readouterr().err
    (out / "b.jsonl").unlink()
    predict()
    assert scored[3:] == ["b.jsonl"]


@pytest.mark.usefixtures("fake")
def test_changed_shard_or_setting_is_scored_again(predict, scored, shards):
    predict()
    lines = (shards / "a.csv").read_text().splitlines(keepends=True)
    (shards / "a.csv").write_text("".join(lines[:-1]))
    out = predict()
    assert scored[3:] == ["a.csv"]
    assert len((out / "a.csv").read_text().splitlines()) == 20
    predict(prior="0.2")
    assert len(scored) == 7


@pytest.mark.usefixtures("fake")
def test_model_that_was_fitted_again_scores_all_again(predict, scored, scored_run, tmp_path):
    predict()
    run = shutil.copytree(scored_run, tmp_path / "other")
    ensemble = run / "heads" / "ensemble.json"
    content = parse_json(ensemble.read_text())
    content["threshold"]["value"] += 1e-9
    write_json(ensemble, json.loads(json.dumps(content)))
    predict(run=run)
    assert len(scored) == 6


@pytest.mark.usefixtures("fake")
def test_kill_between_results_and_record_leaves_no_record_of_other_results(
    predict, shards, monkeypatch
):
    out = predict()
    before = (shards / "a.csv").read_bytes(), (shards / "a.csv").stat().st_mtime_ns
    (shards / "a.csv").write_bytes(b"\n".join(before[0].splitlines()[:-1]))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(scoring, "mark_finished", killed)
        predict()
    (shards / "a.csv").write_bytes(before[0])
    os.utime(shards / "a.csv", ns=(before[1], before[1]))
    predict()
    assert len((out / "a.csv").read_text().splitlines()) == 21


@pytest.mark.usefixtures("fake")
def test_broken_shard_is_tried_again_then_named_and_the_others_are_written(
    predict, shards, scored, tmp_path
):
    (shards / "b.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"1 of 3 shards failed:\n  b.jsonl: no row can") as error:
        predict()
    assert "run the same command again" in str(error.value)
    assert names(tmp_path / "scores") == ["a.csv", "c.parquet"]
    assert scored.count("b.jsonl") == 2
    assert not list((tmp_path / "scores" / ".memefuse").glob("*.partial*"))


@pytest.mark.usefixtures("fake")
def test_defect_of_the_program_is_named_with_its_trace(predict, tmp_path, monkeypatch, capsys):
    lines = FakeRun.lines

    def fails(loaded, reading, batch):
        if len(reading[0]) == 1:
            raise ZeroDivisionError("at b")
        return lines(loaded, reading, batch)

    monkeypatch.setattr(FakeRun, "lines", fails)
    with pytest.raises(AssertionError):  # of the fixture: False was returned
        predict()
    err = capsys.readouterr().err
    assert "b.jsonl: ZeroDivisionError: at b" in err and "Traceback" in err
    assert names(tmp_path / "scores") == ["a.csv", "c.parquet"]


@pytest.mark.usefixtures("fake")
def test_failure_that_passes_is_not_named(predict, monkeypatch):
    read, failures = scoring.read_new_memes, [OSError(116, "Stale file handle")]

    def flaky(*arguments):
        if failures:
            raise failures.pop()
        return read(*arguments)

    monkeypatch.setattr(scoring, "read_new_memes", flaky)
    assert names(predict()) == ["a.csv", "b.jsonl", "c.parquet"]


@pytest.mark.usefixtures("fake")
def test_pictures_may_lie_in_another_folder(predict, shards, tmp_path, monkeypatch):
    (shards / "img").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="--image-folder DIR"):
        predict()
    monkeypatch.chdir(tmp_path)
    assert names(predict(image_folder="elsewhere")) == ["a.csv", "b.jsonl", "c.parquet"]


def test_two_commands_do_not_write_to_one_folder(predict, tmp_path):
    with engine.locked(tmp_path / "scores" / ".memefuse"), pytest.raises(UserError, match="--out"):
        predict()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": "a.png", "out": "folder"}, "--data DIR"),
        ({"data": "x", "engine": "ray"}, "scores a folder of shards"),
        ({"data": "x", "out": "y", "engine": "ray", "device": "cuda:1"}, "--device"),
        ({"data": "x", "out": "y", "workers": 2}, "--workers"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        PredictConfig(**settings)
