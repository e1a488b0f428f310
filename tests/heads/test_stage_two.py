"""From features.h5 to solution.csv: reproducible, whole, and without torch."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import pytest
from planted import QUICK

from features.errors import UserError
from features.table import FeatureTable
from heads.config import FitConfig, SubmitConfig
from heads.decisions import METRICS
from heads.ensemble import ENSEMBLES
from heads.saved import read_probabilities
from heads.scoring import score_memes
from heads.stage import fit_heads, submit
from heads.submission import predictions_csv, rows_asked_for

pytestmark = pytest.mark.usefixtures("quick")
ROOT = Path(__file__).parents[2]
ALL = ["linear", "lightgbm", "joint", "image only", "text only"]
MEMBERS = ["linear", "lightgbm", "joint"]

WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "timm", "PIL"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import heads.boosting
import heads.metrics
from heads.config import FitConfig, SubmitConfig
from heads.stage import fit_heads, submit

run = Path(sys.argv[1])
heads.boosting.ROUNDS, heads.metrics.RESAMPLES = map(int, sys.argv[2:])
fit_heads(FitConfig("linear,lightgbm"), run)
submit(SubmitConfig(out=str(run / "solution.csv")), run)
"""


def python(*arguments):
    return subprocess.run(
        [sys.executable, "-c", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def solve(folder, **settings):
    return submit(SubmitConfig(out=str(folder / "solution.csv"), **settings), folder)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def part_of(features, places):
    """The same features with some of the rows."""

    def cut(one):
        kind = {name: getattr(one, name) for name in one.__dataclass_fields__}
        arrays = {n: v[places] for n, v in kind.items() if isinstance(v, np.ndarray)}
        return replace(one, **arrays)

    spaces = [cut(space) for space in features.spaces]
    return FeatureTable(cut(features.rows), spaces, features.attributes)


def changed_rows(features, **arrays):
    return replace(features, rows=replace(features.rows, **arrays))


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, to change."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return tmp_path / "run"


# What a finished run holds


def test_the_solution_holds_what_was_asked_for_in_its_order(finished):
    rows = finished.features.rows
    solution = read(finished.folder / "solution.csv")
    assert list(solution[0]) == ["ID", "hate"]
    assert [line["ID"] for line in solution] == rows.id[rows_asked_for(rows)].tolist()
    assert {line["hate"] for line in solution} == {"0", "1"}


def test_predictions_hold_every_test_row_and_agree_with_the_solution(finished):
    rows = finished.features.rows
    predictions = {line["id"]: line for line in read(finished.folder / "predictions.csv")}
    assert set(predictions) == set(rows.id[rows.split == "test"])
    for line in read(finished.folder / "solution.csv"):
        assert predictions[line["ID"]]["label"] == line["hate"]


def test_metrics_name_every_head_its_rows_its_threshold_and_its_intervals(finished):
    metrics = metrics_of(finished.folder)
    assert [head["name"] for head in metrics["heads"]] == ALL
    assert [head["name"] for head in metrics["heads"] if head["member"]] == MEMBERS
    assert metrics["ensemble"]["members"] == MEMBERS
    rows, space = finished.features.rows, finished.features.spaces[0]
    expected = {
        "held_out": (rows.labelled & ~space.seen & ~space.monitored).sum(),
        "test": (rows.split == "test").sum(),
    }
    for judged in [*metrics["heads"], metrics["ensemble"]]:
        assert 0 <= judged["threshold"]["value"] <= 1
        for kind, count in expected.items():
            scores = judged["scores"][kind]
            assert scores.pop("rows") == count
            assert 0 < scores.pop("positives") < count
            names = {f"{metric}_{at}" for metric in METRICS for at in ("default", "tuned")}
            assert set(scores) == {"auroc", "average_precision"} | names
            for figure in scores.values():
                low, high = figure["interval"]
                assert 0 <= low <= high <= 1 and 0 <= figure["value"] <= 1


def test_metrics_are_json_for_any_reader(finished):
    text = (finished.folder / "metrics.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_the_head_that_knows_the_interaction_wins_and_the_figures_agree_with_test(finished):
    scores = {head["name"]: head["scores"] for head in metrics_of(finished.folder)["heads"]}
    area = {name: score["held_out"]["auroc"]["value"] for name, score in scores.items()}
    assert area["lightgbm"] > 0.9
    assert all(area[name] < 0.7 for name in ("linear", "image only", "text only"))
    assert scores["lightgbm"]["test"]["auroc"]["value"] == pytest.approx(area["lightgbm"], abs=0.1)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_held_out_for_rows_that_the_backbones_saw(finished, name):
    found = read_probabilities(finished.folder / "heads" / name)
    unseen = finished.features.rows.labelled & ~finished.features.spaces[0].seen
    np.testing.assert_array_equal(~np.isnan(found.held_out), unseen)
    np.testing.assert_array_equal(~np.isnan(found.row_threshold), unseen)


def test_tables_fit_80_columns_and_nothing_is_cut_off(finished):
    for output in (finished.fit_output, finished.submit_output):
        assert "…" not in output
        assert max(map(len, output.splitlines())) <= 80
        for name in ALL:
            assert sum(line.strip().startswith(f"{name} ") for line in output.splitlines()) == 2
    assert "ensemble (mean)" not in finished.fit_output
    assert finished.submit_output.count("ensemble (mean)") == 2


def test_without_test_labels_one_table_is_printed_and_no_test_figure(tmp_path, capsys):
    planted.write(tmp_path / "features.h5", planted.table(test_labels=False))
    fit_heads(FitConfig("linear"), tmp_path)
    assert capsys.readouterr().out.count("AUROC") == 1
    assert all(head["scores"]["test"] is None for head in metrics_of(tmp_path)["heads"])


# The same again


def test_a_second_run_in_another_process_without_torch_gives_the_same_bytes(finished, tmp_path):
    shutil.copy(finished.folder / "features.h5", tmp_path)
    python(WITHOUT_TORCH, str(tmp_path), *map(str, QUICK.values()))
    for name in ("solution.csv", "predictions.csv"):
        assert (tmp_path / name).read_bytes() == (finished.folder / name).read_bytes()


@pytest.mark.parametrize("module", ["heads", "heads.config", "pipeline", "features.settings"])
def test_asking_for_help_does_not_wait_for_libraries(module):
    loaded = python(f"import sys, {module}; print(*sys.modules)").split()
    slow = {"torch", "sklearn", "lightgbm", "pandas", "scipy", "h5py", "transformers"}
    assert not slow & set(loaded)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_scoring_the_same_memes_later_gives_what_was_submitted(finished, run, kind):
    solve(run, ensemble=kind)
    rows = finished.features.rows
    test = rows.split == "test"
    probability, decision = score_memes(finished.features, run / "heads")
    again = predictions_csv(rows.id[test], probability[test], decision[test])
    assert again == (run / "predictions.csv").read_text()


def test_a_meme_scored_alone_gets_what_it_gets_in_a_batch(finished):
    folder = finished.folder / "heads"
    probability, decision = score_memes(finished.features, folder)
    alone = score_memes(part_of(finished.features, [7]), folder)
    np.testing.assert_allclose(alone[0], probability[7], rtol=0, atol=1e-12)
    assert alone[1] == decision[7]


def test_fitting_one_head_again_leaves_the_others_as_they_are(run):
    before = contents(run / "heads" / "lightgbm")
    times = {path: path.stat().st_mtime_ns for path in before}
    fit_heads(FitConfig("linear"), run)
    assert contents(run / "heads" / "lightgbm") == before
    assert {path: path.stat().st_mtime_ns for path in before} == times
    assert [head["name"] for head in metrics_of(run)["heads"]] == ALL


def test_submitting_reads_no_embeddings_and_changes_no_head(run):
    (run / "features.h5").unlink()
    heads = {name: contents(run / "heads" / name) for name in ALL}
    blank = planted.table()
    spaces = [replace(space, image=np.full_like(space.image, np.nan)) for space in blank.spaces]
    planted.write(run / "features.h5", replace(blank, spaces=spaces))
    solution = (run / "solution.csv").read_bytes()
    assert solve(run).read_bytes() == solution
    assert {name: contents(run / "heads" / name) for name in ALL} == heads


# Several spaces


def test_spaces_of_other_widths_and_other_seen_rows_work_together(tmp_path):
    features = planted.table("linear", widths=((12, 8), (5, 9)), test_labels=False)
    planted.write(tmp_path / "features.h5", features)
    fit_heads(FitConfig("linear"), tmp_path)
    solve(tmp_path)
    rows = features.rows
    metrics = metrics_of(tmp_path)
    for head in metrics["heads"]:
        assert [space["name"] for space in head["spaces"]] == ["space_0", "space_1"]
    held_out = read_probabilities(tmp_path / "heads" / "linear").held_out
    seen = np.array([space.seen for space in features.spaces])
    # What one space saw, the other can judge.
    assert (seen.any(axis=0) & ~seen.all(axis=0)).any()
    np.testing.assert_array_equal(~np.isnan(held_out), rows.labelled & ~seen.all(axis=0))
    touched = np.any([space.seen | space.monitored for space in features.spaces], axis=0)
    judged = metrics["ensemble"]["scores"]["held_out"]
    assert judged["rows"] == (rows.labelled & ~touched).sum()
    assert judged["auroc"]["value"] > 0.9
    test = rows.split == "test"
    probability, decision = score_memes(features, tmp_path / "heads")
    again = predictions_csv(rows.id[test], probability[test], decision[test])
    assert again == (tmp_path / "predictions.csv").read_text()


# Nothing of another run gets in


def other_features(run):
    return planted.write(run / "features.h5", planted.table(stamp="b"))


def test_heads_fitted_on_other_features_are_not_submitted(run):
    other_features(run)
    before = contents(run)
    with pytest.raises(UserError, match=r"linear, lightgbm, .* fitted on other features"):
        solve(run)
    assert contents(run) == before


def test_heads_fitted_on_other_features_do_not_score(run):
    with pytest.raises(UserError, match="fitted on other features"):
        score_memes(planted.table(stamp="b"), run / "heads")


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_fitting_drops_heads_of_other_features_or_another_metric(run, capsys, metric):
    if metric == "accuracy":
        other_features(run)
    fit_heads(FitConfig("linear", metric=metric), run)
    assert "dropping lightgbm" in capsys.readouterr().err
    assert not (run / "heads" / "lightgbm").exists()
    assert [head["name"] for head in metrics_of(run)["heads"]] == [
        name for name in ALL if name != "lightgbm"
    ]


def test_an_ensemble_whose_member_is_gone_does_not_score(finished, run):
    shutil.rmtree(run / "heads" / "linear")
    with pytest.raises(UserError, match=r"Run: python pipeline\.py submit"):
        score_memes(finished.features, run / "heads")


def test_an_ensemble_older_than_its_heads_does_not_score(finished, run):
    # The ensemble's threshold was tuned for accuracy, its members' now are for f1.
    shutil.rmtree(run / "heads" / "lightgbm")
    solve(run)
    fit_heads(FitConfig("linear", metric="f1"), run)
    with pytest.raises(UserError, match=r"Run first: python pipeline\.py submit"):
        score_memes(finished.features, run / "heads")


def test_commands_out_of_order_name_the_one_to_run_first(tmp_path, finished):
    with pytest.raises(UserError, match=r"python pipeline\.py extract"):
        fit_heads(FitConfig("linear"), tmp_path)
    shutil.copy(finished.folder / "features.h5", tmp_path)
    with pytest.raises(UserError, match=r"python pipeline\.py fit-heads"):
        solve(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["features.h5"]


# The submission


def test_proba_writes_the_probabilities_of_the_predictions(run):
    predictions = {line["id"]: line for line in read(run / "predictions.csv")}
    for line in read(solve(run, proba=True)):
        assert line["hate"] == predictions[line["ID"]]["probability"]


def say_of(run, name, places, value):
    """Overwrite what a saved head says of some of the rows."""
    path = run / "heads" / name / "probabilities.npz"
    with np.load(path) as arrays:
        arrays = dict(arrays)
    arrays["final"][places] = value
    np.savez(path, **arrays)


def refused(run, match):
    before = contents(run)
    with pytest.raises(UserError, match=match):
        solve(run)
    assert contents(run) == before


def test_repeated_ids_leave_the_old_solution_and_write_nothing(finished, run):
    rows = finished.features.rows
    ids = rows.id.copy()
    ids[rows.split == "test"] = "same"
    planted.write(run / "features.h5", changed_rows(finished.features, id=ids))
    refused(run, "test ids occur more than once: same")


def test_nothing_asked_for_leaves_the_old_solution_and_writes_nothing(finished, run):
    nothing = changed_rows(finished.features, order=np.full(len(finished.features), -1))
    planted.write(run / "features.h5", nothing)
    refused(run, "no test ids are asked for")


def test_a_missing_probability_leaves_the_old_solution_and_writes_nothing(finished, run):
    rows = finished.features.rows
    unknown = np.where(rows.split == "test", -1, rows.label)
    planted.write(run / "features.h5", changed_rows(finished.features, label=unknown))
    asked = rows_asked_for(rows)[0]
    say_of(run, "linear", asked, np.nan)
    refused(run, f"no finite probability for 1 ids: {rows.id[asked]}")


def test_a_solution_far_from_the_prior_is_warned_of_on_stderr(finished, run, capsys):
    for name in MEMBERS:
        say_of(run, name, finished.features.rows.split == "test", 0.99)
    solve(run)
    out, err = capsys.readouterr()
    assert "WARNING: " in err and "WARNING" not in out


# Settings


@pytest.mark.parametrize("heads", ["", " , ", "linear,quadratic"])
def test_unknown_heads_are_refused_with_those_there_are(heads):
    with pytest.raises(UserError, match=r"--heads: found .*, allowed: linear, mlp, lightgbm"):
        FitConfig(heads)


def test_heads_are_asked_for_once_each_with_spaces_forgiven():
    assert FitConfig(" linear, mlp,linear").names() == ["linear", "mlp"]


def test_unknown_metrics_and_ensembles_are_refused_with_those_there_are():
    with pytest.raises(UserError, match='--metric: found "auc", allowed: accuracy, f1'):
        FitConfig(metric="auc")
    with pytest.raises(UserError, match='--ensemble: found "max", allowed: mean, rank, vote'):
        SubmitConfig(ensemble="max")
