"""The commands of the command line, end to end, on tiny encoders and a small sample."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

pytestmark = pytest.mark.usefixtures("quick_heads")
HEADS = ("--heads", "linear,knn,stack")
"""A few fast heads; .ci/run runs all of them."""
PIPELINE = Path(__file__).parent.parent / "pipeline.py"


@pytest.fixture(scope="module")
def run_command(command):
    """f(*args, cwd) -> stdout of a command, which must succeed."""

    def run(*arguments, cwd):
        done = command(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def table(text):
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_weights, tiny_sample, run_command):
    """A working directory with the finished run `r`."""
    cwd = tmp_path_factory.mktemp("cwd")
    weights = [
        *("--image-weights", tiny_weights / "image", "--text-weights", tiny_weights / "text"),
        *("--image-size", 32, "--epochs", 1, "--folds", 2),
    ]
    cwd.joinpath("weights.json").write_text(json.dumps([str(w) for w in weights]))
    run_command("run", "--run", "r", "--data", tiny_sample, *weights, *HEADS, cwd=cwd)
    return cwd


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the working directory, whose run a test may change."""
    return shutil.copytree(finished, tmp_path / "copied")


def test_run_writes_all_files_of_a_run(finished):
    names = {path.name for path in (finished / "runs" / "r").iterdir()}
    assert names == {
        "config.json", "data.json", "memes.jsonl", "near_duplicates.csv", "features.h5",
        "backbones", "heads", "metrics.json", "predictions.csv", "solution.json",
        "report.html", "report.md", "model_card.md", "label_issues.csv",
    }  # fmt: skip
    assert not list(finished.rglob("*.partial"))


def test_solution_has_the_ids_and_order_of_the_sample_submission(finished, tiny_sample):
    sample = table((tiny_sample / "sample_submission.csv").read_text())
    solution = table((finished / "solution.csv").read_text())
    assert [row["id"] for row in solution] == [row["id"] for row in sample]
    assert list(solution[0]) == ["id", "label"]
    assert {row["label"] for row in solution} <= {"0", "1"}


def test_predictions_agree_with_the_solution(finished):
    predicted = table((finished / "runs/r/predictions.csv").read_text())
    solution = {row["id"]: row["label"] for row in table((finished / "solution.csv").read_text())}
    assert list(predicted[0]) == ["id", "probability", "label"]
    assert {row["id"]: row["label"] for row in predicted} == solution


def test_predict_in_a_new_process_gives_the_probabilities_of_submit(finished, tiny_sample):
    args = ["predict", "--run", "r", "--data", str(tiny_sample / "test.csv")]
    done = subprocess.run(
        [sys.executable, str(PIPELINE), *args],
        cwd=finished,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (finished / "runs/r/predictions.csv").read_text()


def test_predict_of_a_folder_writes_to_out(finished, tiny_sample, run_command):
    run_command("predict", "--run", "r", "--data", tiny_sample, "--out", "scored.csv", cwd=finished)
    predictions = (finished / "runs/r/predictions.csv").read_text()
    assert (finished / "scored.csv").read_text() == predictions


def test_predict_one_meme_gives_the_same_as_in_a_batch(finished, tiny_sample, run_command):
    meme = table((tiny_sample / "test.csv").read_text())[3]
    image = shutil.copy(tiny_sample / meme["img"], finished / "elsewhere.png")
    one = table(
        run_command("predict", "--run", "r", "--image", image, "--text", meme["text"], cwd=finished)
    )[0]
    predicted = table((finished / "runs/r/predictions.csv").read_text())
    same = next(row for row in predicted if row["id"] == meme["id"])
    assert one == {**same, "id": "elsewhere"}


@pytest.mark.usefixtures("no_plots")
def test_same_seed_gives_the_same_bytes(finished, tiny_sample, run_command):
    weights = json.loads((finished / "weights.json").read_text())
    arguments = ("--data", tiny_sample, *weights, *HEADS, "--out", "again.csv")
    run_command("run", "--run", "again", *arguments, cwd=finished)
    for name in ("features.h5", "predictions.csv", "near_duplicates.csv"):
        first, second = (finished / "runs" / run / name for run in ("r", "again"))
        assert first.read_bytes() == second.read_bytes(), name
    assert (finished / "again.csv").read_bytes() == (finished / "solution.csv").read_bytes()


@pytest.mark.usefixtures("no_plots")
def test_check_writes_results_and_fails_on_another_submission(copied, run_command, command):
    run_command("submit", "--run", "r", "--proba", cwd=copied)
    done = command("check", "--run", "r", cwd=copied)
    assert "shuffled labels" in done.stdout and "contains the run's probabilities" in done.stdout
    assert json.loads((copied / "runs/r/check.json").read_text())["checks"]
    (copied / "other.csv").write_text("id,label\n1,0\n")
    done = command("check", "--run", "r", "--solution", "other.csv", cwd=copied)
    assert done.returncode == 1 and "FAIL solution" in " ".join(done.stdout.split())


def test_deleted_report_is_written_again(finished, run_command):
    page = finished / "runs/r/report.html"
    before = page.read_bytes()
    page.unlink()
    assert run_command("report", "--run", "r", cwd=finished).strip() == str(
        page.relative_to(finished)
    )
    assert page.read_bytes() == before


@pytest.mark.parametrize("prior", ["0", "1.5", "nan"])
def test_invalid_prior_is_refused(finished, prior, command):
    done = command("submit", "--run", "r", "--prior", prior, cwd=finished)
    assert done.returncode == 2 and "--prior" in done.stderr


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("kind", ["rank"])
def test_submit_and_predict_agree_for_other_ensembles(copied, tiny_sample, kind, run_command):
    run_command("submit", "--run", "r", "--ensemble", kind, "--out", f"{kind}.csv", cwd=copied)
    scored = run_command("predict", "--run", "r", "--data", tiny_sample / "test.csv", cwd=copied)
    assert scored == (copied / "runs/r/predictions.csv").read_text()


@pytest.mark.usefixtures("no_plots")
def test_proba_writes_probabilities(copied, run_command):
    # Of random towers, the best ensemble may be a vote in which no head says yes: a constant.
    flags = "--proba", "--ensemble", "mean", "--out", "proba.csv"
    run_command("submit", "--run", "r", *flags, cwd=copied)
    values = [float(row["label"]) for row in table((copied / "proba.csv").read_text())]
    assert len(set(values)) > 2 and all(0 <= value <= 1 for value in values)


def test_extract_reuses_current_features_and_refuses_other_settings(finished, tiny_sample, command):
    weights = json.loads((finished / "weights.json").read_text())
    before = (finished / "runs/r/features.h5").stat().st_mtime_ns
    same = command("extract", "--run", "r", "--data", tiny_sample, *weights, cwd=finished)
    assert same.returncode == 0 and "up to date" in same.stderr
    other = command(
        "extract", "--run", "r", "--data", tiny_sample, *weights, "--seed", 1, cwd=finished
    )
    assert other.returncode == 2 and "--seed: was 0, now 1" in other.stderr
    assert (finished / "runs/r/features.h5").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
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
        (["predict"], "--text"),
        (["predict"], "--data"),
        (["sample", "--out", "s", "--memes", "3"], "120"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_user_error_prints_one_message_and_exits_with_2(tmp_path, arguments, message, command):
    weights = ["--weights", "bundled"] if "--data" in arguments else []
    done = command(*arguments, *weights, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert (
        not done.stdout and not list(tmp_path.rglob("*.h5*")) and not list(tmp_path.glob("*.csv"))
    )


@pytest.mark.usefixtures("no_plots")
def test_predict_uses_the_text_column_given_to_extract(
    finished, tiny_sample, tmp_path, run_command
):
    shutil.copytree(tiny_sample, tmp_path / "data")
    for path in (tmp_path / "data").glob("t*.csv"):
        path.write_text(path.read_text().replace("id,img,text,label", "id,img,words,label", 1))
    (tmp_path / "data" / "val.csv").unlink()
    weights = json.loads((finished / "weights.json").read_text())
    data = ("--run", "w", "--data", tmp_path / "data")
    run_command("run", *data, "--text-column", "words", *weights, "--heads", "linear", cwd=tmp_path)
    scored = run_command("predict", *data, cwd=tmp_path)
    assert scored == (tmp_path / "runs/w/predictions.csv").read_text()


def test_predict_lists_the_choices_of_on_bad_rows(finished, tiny_sample, command):
    arguments = ("predict", "--run", "r", "--data", tiny_sample, "--on-bad-rows", "skip")
    done = command(*arguments, cwd=finished)
    assert done.returncode == 2 and "allowed: stop, blank" in done.stderr


def test_extract_restores_missing_backbones_and_deletes_the_heads(
    finished, tiny_sample, run_command
):
    weights = json.loads((finished / "weights.json").read_text())
    lost = finished / "runs" / "lost"
    shutil.copytree(finished / "runs" / "r", lost)
    shutil.rmtree(lost / "backbones")
    run_command("extract", "--run", "lost", "--data", tiny_sample, *weights, cwd=finished)
    assert (lost / "backbones/space_0/checkpoint.json").is_file()
    assert not (lost / "heads").exists()


def test_hub_weights_without_network_or_cache_list_alternatives(
    tmp_path, tiny_sample, command, monkeypatch
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    done = command("extract", "--data", tiny_sample, cwd=tmp_path)
    assert done.returncode == 2 and "Or pass --weights bundled" in done.stderr
    assert "--weights bundled" in done.stderr and "--image-weights DIR" in done.stderr


def test_sample_writes_the_layout_of_user_data(tmp_path, run_command, command):
    run_command("sample", "--out", "memes", "--memes", 120, cwd=tmp_path)
    names = {path.name for path in (tmp_path / "memes").iterdir()}
    assert names == {"train.csv", "val.csv", "test.csv", "sample_submission.csv", "img"}
    assert command("sample", "--out", "memes", cwd=tmp_path).returncode == 2
