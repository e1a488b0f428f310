"""Tables are scored part by part: resumable, in several formats, with what an audit needs."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars
import pytest

from extract.run import extract
from heads.ensemble.saved_ensemble import ensemble_checksum
from heads.predict import Scorer
from runtime.errors import UserError
from runtime.lock import locked
from serve import resumable_results, table_predictions
from serve.config import PredictConfig
from serve.finished_models import require_models
from serve.table_predictions import predict_table


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(table_predictions, "PART_ROWS", 10)


@pytest.fixture
def predict(scored_run, tiny_sample):
    """f(**settings) -> the CSV that goes to stdout, or the file that was written."""

    def run(**settings):
        parts = []
        settings = {"data": str(tiny_sample / "test.csv"), "device": "cpu"} | settings
        config = PredictConfig(**settings)
        return predict_table(config, scored_run, parts.append) or "".join(parts)

    return run


@pytest.fixture(scope="module")
def submitted(scored_run):
    with (scored_run / "predictions.csv").open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_parts_equal_what_submit_wrote(predict, submitted):
    rows = list(csv.DictReader(predict().splitlines()))
    assert {row["id"]: row for row in rows} == submitted


def test_every_format_has_the_same_rows(predict, scored_run, tmp_path):
    expected = list(csv.DictReader(predict(audit=True).splitlines()))
    predict(audit=True, out=str(tmp_path / "a.csv"))
    predict(audit=True, out=str(tmp_path / "a.jsonl"))
    predict(audit=True, out=str(tmp_path / "a.parquet"))
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert list(csv.DictReader(lines)) == expected
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    for found in (rows, polars.read_parquet(tmp_path / "a.parquet").to_dicts()):
        assert [row["id"] for row in found] == [row["id"] for row in expected]
        assert [row["probability"] for row in found] == [float(r["probability"]) for r in expected]
    assert {row["prior"] for row in rows} == {"submit"} and rows[0]["version"]
    assert {row["ensemble"] for row in rows} == {ensemble_checksum(scored_run)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl", "a.parquet"]


@pytest.fixture
def packed(tiny_sample, tmp_path):
    """The sample as Hugging Face's datasets write it, with the bytes of the pictures."""
    folder = tmp_path / "packed"
    folder.mkdir()
    for split in ("train", "val", "test"):
        table = polars.read_csv(tiny_sample / f"{split}.csv", schema_overrides={"id": str})
        pictures = [
            {"bytes": (tiny_sample / name).read_bytes(), "path": name} for name in table["img"]
        ]
        table = table.drop("img").with_columns(polars.Series("image", pictures))
        table.write_parquet(folder / f"{split}-00000-of-00001.parquet")
    shutil.copy(tiny_sample / "sample_submission.csv", folder)
    return folder


def test_bytes_of_pictures_give_the_same_rows_and_leave_no_file(
    predict, packed, submitted, tmp_path
):
    table = str(packed / "test-00000-of-00001.parquet")
    rows = list(csv.DictReader(predict(data=table).splitlines()))
    assert {row["id"]: row for row in rows} == submitted
    out = tmp_path / "out" / "scores.parquet"
    predict(data=table, out=str(out))
    assert polars.read_parquet(out)["id"].to_list() == [row["id"] for row in rows]
    assert [path.name for path in out.parent.iterdir()] == ["scores.parquet"]


def test_a_run_with_bytes_of_pictures_is_the_same_run(
    packed, tiny_config, scored_run, tmp_path, capsys
):
    run = shutil.copytree(scored_run, tmp_path / "run")
    extract(replace(tiny_config, data=str(packed)), run)
    assert "up to date" in capsys.readouterr().err
    assert len(list((run / "pictures").iterdir())) > 100


@pytest.mark.parametrize("cut", [0, 7])
def test_killed_command_continues_without_a_row_twice_or_lost(
    predict, killed, tmp_path, monkeypatch, cut
):
    out = tmp_path / "a.csv"
    expected = predict()
    with killed():
        predict(out=str(out))
    partial = tmp_path / "a.csv.partial"
    assert not out.exists()
    if cut:
        partial.write_bytes(partial.read_bytes()[:-cut])
    score, calls = Scorer.score, []
    monkeypatch.setattr(Scorer, "score", lambda *a: calls.append(len(a[1])) or score(*a))
    predict(out=str(out))
    assert out.read_text() == expected
    assert sum(calls) == 32 - 20 + bool(cut)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_two_commands_do_not_write_to_one_file(predict, tmp_path):
    with locked(tmp_path / "a.csv.partial"), pytest.raises(UserError, match="--out"):
        predict(out=str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("content", "whole", "memes"),
    [
        ("", "", 0),
        ("id,", "", 0),
        ("id,caption\na,b\nc", "id,caption\na,b\n", 1),
        ('id,caption\na,b\nc,"d\ne\nf', "id,caption\na,b\n", 1),
        ('id,caption\nc,"d\ne"\n', 'id,caption\nc,"d\ne"\n', 1),
    ],
)
def test_line_that_a_kill_cut_is_dropped_whole(tmp_path, content, whole, memes):
    partial = tmp_path / "a.csv.partial"
    partial.write_text(content)
    assert resumable_results._drop_cut_line(partial) == memes
    assert partial.read_text() == whole


def test_other_settings_start_again(predict, tmp_path, capsys):
    out = tmp_path / "a.csv"
    (tmp_path / "a.csv.partial").write_text("id,probability,label\n1,0.5,1\n")
    (tmp_path / "a.csv.partial.json").write_text("{}")
    with pytest.raises(UserError):
        predict(out=str(out))
    (tmp_path / "a.csv.partial.json").unlink()
    predict(out=str(out), prior="0.2")
    assert len(out.read_text().splitlines()) == 33
    assert "prior: 0.2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": "2"}, "--prior: found"),
        ({"prior": "x"}, "--prior: found"),
        ({"out": "a.txt"}, "--out: found"),
        ({"image": "a.png"}, "pass either --data"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        PredictConfig(data="x", **settings)


ROOT = Path(__file__).parents[2]

REFUSE = """
import sys
from pathlib import Path
from runtime.errors import UserError
from serve.config import PredictConfig
from serve.table_predictions import predict_table
for run, image in {runs}:
    try:
        predict_table(PredictConfig(image=image, text="words"), Path(run), print)
    except UserError as error:
        print(error)
print(sorted({{"torch", "timm", "transformers", "sklearn"}} & sys.modules.keys()))
"""


def test_missing_runs_and_pictures_are_refused_without_model_libraries(scored_run, tmp_path):
    runs = [(str(tmp_path / "none"), "a.png"), (str(scored_run), str(tmp_path / "none.png"))]
    command = [sys.executable, "-c", REFUSE.format(runs=runs)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "has no backbones. Run first: python pipeline.py extract" in said
    assert "none.png is not a file" in said
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("removed", "command"), [("backbones", "extract"), ("heads", "fit-heads"), (None, "submit")]
)
def test_the_first_missing_step_is_named(scored_run, tmp_path, removed, command):
    run = tmp_path / "run"
    for part in {"backbones", "heads"} - {removed}:
        shutil.copytree(scored_run / part, run / part)
    if removed is None:
        (run / "heads" / "ensemble.json").unlink()
    with pytest.raises(UserError, match=f"Run first: python pipeline.py {command}"):
        require_models(run)
