"""The commands as a person runs them, on tiny encoders and a small sample."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from extract.spaces.pretrained import PRETRAINED_SIZE

HEADS = ("--heads", "linear,knn,stack")
"""A few that are quick; all of them are run by .ci/run."""
PIPELINE = Path(__file__).parent.parent / "pipeline.py"


@pytest.fixture(scope="module")
def command(forked_command, tmp_path_factory):
    """f(*words, cwd) -> returncode, stdout, stderr."""
    folder = tmp_path_factory.mktemp("said")

    def run(*arguments, cwd):
        files = out, err = folder / "out", folder / "err"
        for file in files:
            file.write_bytes(b"")
        code, *_ = forked_command(
            cwd, [*map(str, arguments)], out=out, err=err, enlarged=PRETRAINED_SIZE
        )
        return SimpleNamespace(returncode=code, stdout=out.read_text(), stderr=err.read_text())

    return run


@pytest.fixture(scope="module")
def good(command):
    """f(*words, cwd) -> stdout of a command that succeeds."""

    def run(*arguments, cwd):
        done = command(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def table(text):
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_weights, tiny_sample, good):
    """A working directory in which `run` has finished."""
    cwd = tmp_path_factory.mktemp("place")
    weights = [
        *("--image-weights", tiny_weights / "image", "--text-weights", tiny_weights / "text"),
        *("--image-size", 32, "--epochs", 1, "--folds", 2),
    ]
    cwd.joinpath("weights.json").write_text(json.dumps([str(w) for w in weights]))
    good("run", "--run", "r", "--data", tiny_sample, *weights, *HEADS, cwd=cwd)
    return cwd


def test_run_leaves_everything_that_the_run_folder_promises(place):
    names = {path.name for path in (place / "runs" / "r").iterdir()}
    assert names == {
        "config.json", "data.json", "memes.jsonl", "near_duplicates.csv", "features.h5",
        "backbones", "heads", "metrics.json", "predictions.csv", "solution.json",
        "report.html", "report.md",
    }  # fmt: skip
    assert not list(place.rglob("*.partial"))


def test_solution_has_every_id_once_in_the_order_of_the_sample_submission(place, tiny_sample):
    asked = table((tiny_sample / "sample_submission.csv").read_text())
    got = table((place / "solution.csv").read_text())
    assert [row["id"] for row in got] == [row["id"] for row in asked]
    assert list(got[0]) == ["id", "label"] and {row["label"] for row in got} <= {"0", "1"}


def test_predictions_agree_with_the_solution(place):
    predicted = table((place / "runs/r/predictions.csv").read_text())
    solution = {row["id"]: row["label"] for row in table((place / "solution.csv").read_text())}
    assert list(predicted[0]) == ["id", "probability", "label"]
    assert {row["id"]: row["label"] for row in predicted} == solution


def test_predict_in_a_process_of_its_own_gives_the_probabilities_that_submit_gave(
    place, tiny_sample
):
    words = ["predict", "--run", "r", "--data", str(tiny_sample / "test.csv")]
    done = subprocess.run(
        [sys.executable, str(PIPELINE), *words],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        # As many as the run had.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == (place / "runs/r/predictions.csv").read_text()


def test_predict_of_a_folder_writes_the_file_asked_for(place, tiny_sample, good):
    good("predict", "--run", "r", "--data", tiny_sample, "--out", "scored.csv", cwd=place)
    predictions = (place / "runs/r/predictions.csv").read_text()
    assert (place / "scored.csv").read_text() == predictions


def test_predict_needs_no_training_data_and_one_meme_scores_as_in_a_batch(place, tiny_sample, good):
    meme = table((tiny_sample / "test.csv").read_text())[3]
    image = shutil.copy(tiny_sample / meme["img"], place / "elsewhere.png")
    one = table(good("predict", "--run", "r", "--image", image, "--text", meme["text"], cwd=place))[
        0
    ]
    predicted = table((place / "runs/r/predictions.csv").read_text())
    same = next(row for row in predicted if row["id"] == meme["id"])
    assert one == {**same, "id": "elsewhere"}


def test_same_seed_gives_the_same_bytes(place, tiny_sample, good):
    weights = json.loads((place / "weights.json").read_text())
    arguments = ("--data", tiny_sample, *weights, *HEADS, "--out", "again.csv")
    good("run", "--run", "again", *arguments, cwd=place)
    for name in ("features.h5", "predictions.csv", "near_duplicates.csv"):
        first, second = (place / "runs" / run / name for run in ("r", "again"))
        assert first.read_bytes() == second.read_bytes(), name
    assert (place / "again.csv").read_bytes() == (place / "solution.csv").read_bytes()


def test_check_reports_on_the_run_and_fails_on_another_runs_submission(place, good, command):
    good("submit", "--run", "r", "--proba", cwd=place)
    done = command("check", "--run", "r", cwd=place)
    assert "shuffled labels" in done.stdout and "holds the run's probabilities" in done.stdout
    assert json.loads((place / "runs/r/check.json").read_text())["checks"]
    (place / "other.csv").write_text("id,label\n1,0\n")
    done = command("check", "--run", "r", "--solution", "other.csv", cwd=place)
    assert done.returncode == 1 and "FAIL solution" in " ".join(done.stdout.split())
    good("submit", "--run", "r", cwd=place)


def test_report_is_written_anew(place, good):
    page = place / "runs/r/report.html"
    before = page.read_bytes()
    page.unlink()
    assert good("report", "--run", "r", cwd=place).strip() == str(page.relative_to(place))
    assert page.read_bytes() == before


@pytest.mark.parametrize("prior", ["0", "1.5", "nan"])
def test_a_prior_that_is_no_share_is_refused(place, prior, command):
    done = command("submit", "--run", "r", "--prior", prior, cwd=place)
    assert done.returncode == 2 and "--prior" in done.stderr


@pytest.mark.parametrize("kind", ["rank"])
def test_every_ensemble_submits_and_predicts_alike(place, tiny_sample, kind, good):
    good("submit", "--run", "r", "--ensemble", kind, "--out", f"{kind}.csv", cwd=place)
    scored = good("predict", "--run", "r", "--data", tiny_sample / "test.csv", cwd=place)
    assert scored == (place / "runs/r/predictions.csv").read_text()
    good("submit", "--run", "r", cwd=place)


def test_proba_writes_probabilities(place, good):
    good("submit", "--run", "r", "--proba", "--out", "proba.csv", cwd=place)
    values = [float(row["label"]) for row in table((place / "proba.csv").read_text())]
    assert len(set(values)) > 2 and all(0 <= value <= 1 for value in values)


def test_extract_again_keeps_what_is_current_and_refuses_other_settings(
    place, tiny_sample, command
):
    weights = json.loads((place / "weights.json").read_text())
    before = (place / "runs/r/features.h5").stat().st_mtime_ns
    same = command("extract", "--run", "r", "--data", tiny_sample, *weights, cwd=place)
    assert same.returncode == 0 and "up to date" in same.stderr
    other = command(
        "extract", "--run", "r", "--data", tiny_sample, *weights, "--seed", 1, cwd=place
    )
    assert other.returncode == 2 and "--seed: was 0, now 1" in other.stderr
    assert (place / "runs/r/features.h5").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract", "--epoch", "3"], "Did you mean --epochs"),
        (["extract", "--epochs", "many"], "--epochs"),
        (["extract", "--epochs", "0"], "allowed: 1 or more"),
        (["extract", "--fusion", "sum"], "linear, mlp, interaction"),
        (["extract", "--run", "../up"], "--run"),
        (["extract", "--run", ".."], "--run"),
        (["submit", "--out", "."], "is a folder"),
        (["extract", "--data", "nowhere"], "nowhere"),
        (["extract", "--device", "gpu"], "--device gpu"),
        (["fit-heads", "--heads", "linear,forest"], "allowed: linear, interaction, mlp"),
        (["fit-heads", "--run", "none"], "Run first: python pipeline.py extract"),
        (["submit", "--run", "none"], "Run first: python pipeline.py extract"),
        (["submit", "--ensemble", "median"], "greedy, mean, rank, vote"),
        (["predict", "--run", "none", "--image", "x.png", "--text", "a"], "extract"),
        (["predict", "--image", "x.png"], "--text"),
        (["predict"], "--data"),
        (["sample", "--out", "s", "--memes", "3"], "120"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_users_mistake_ends_in_one_message_and_exit_code_2(tmp_path, arguments, said, command):
    weights = ["--weights", "bundled"] if "--data" in arguments else []
    done = command(*arguments, *weights, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert (
        not done.stdout and not list(tmp_path.rglob("*.h5*")) and not list(tmp_path.glob("*.csv"))
    )


def test_predict_reads_by_the_columns_that_extract_was_told(place, tiny_sample, tmp_path, good):
    shutil.copytree(tiny_sample, tmp_path / "data")
    for path in (tmp_path / "data").glob("t*.csv"):
        path.write_text(path.read_text().replace("id,img,text,label", "id,img,words,label", 1))
    (tmp_path / "data" / "val.csv").unlink()
    weights = json.loads((place / "weights.json").read_text())
    data = ("--run", "w", "--data", tmp_path / "data")
    good("run", *data, "--text-column", "words", *weights, "--heads", "linear", cwd=tmp_path)
    scored = good("predict", *data, cwd=tmp_path)
    assert scored == (tmp_path / "runs/w/predictions.csv").read_text()


def test_predict_names_what_on_bad_rows_may_be(place, tiny_sample, command):
    arguments = ("predict", "--run", "r", "--data", tiny_sample, "--on-bad-rows", "skip")
    done = command(*arguments, cwd=place)
    assert done.returncode == 2 and "allowed: stop, blank" in done.stderr


def test_extract_makes_lost_backbones_anew_and_drops_the_heads(place, tiny_sample, good):
    weights = json.loads((place / "weights.json").read_text())
    lost = place / "runs" / "lost"
    shutil.copytree(place / "runs" / "r", lost)
    shutil.rmtree(lost / "backbones")
    good("extract", "--run", "lost", "--data", tiny_sample, *weights, cwd=place)
    assert (lost / "backbones/space_0/checkpoint.json").is_file()
    assert not (lost / "heads").exists()


def test_hub_weights_without_network_or_cache_name_three_ways_out(tmp_path, tiny_sample):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")}
    done = subprocess.run(
        [sys.executable, str(PIPELINE), "extract", "--data", str(tiny_sample)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2 and "Four ways out" in done.stderr
    assert "--weights bundled" in done.stderr and "--image-weights DIR" in done.stderr


def test_sample_command_writes_what_anybodys_own_data_looks_like(tmp_path, good, command):
    good("sample", "--out", "memes", "--memes", 120, cwd=tmp_path)
    names = {path.name for path in (tmp_path / "memes").iterdir()}
    assert names == {"train.csv", "val.csv", "test.csv", "sample_submission.csv", "img"}
    assert command("sample", "--out", "memes", cwd=tmp_path).returncode == 2
