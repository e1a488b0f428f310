"""Stage two end to end: complete and reproducible results, without backbones."""

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

from heads.config import FitConfig, SubmitConfig
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.ensemble.submission import requested_rows
from heads.evaluation.metrics import METRICS, mean_log_loss
from heads.fitting.saved_heads import read_probabilities
from heads.registry import REFERENCES
from heads.run import fit_heads, submit
from runtime.errors import UserError
from runtime.files.file_checksums import CHECKSUM_KEY
from runtime.files.json_files import read_json

pytestmark = pytest.mark.usefixtures("quick")
ROOT = Path(__file__).parents[2]
MEMBERS = ["joint", "linear", "interaction", "lightgbm", "knn", "stack"]
ALL = [*MEMBERS, *REFERENCES]
KINDS = ["fine-tuned", "pretrained", "lexical"]
VARYING_KEYS = {"seconds", "path", CHECKSUM_KEY}
"""JSON keys whose values differ between runs: times, paths and checksums over them."""

WITHOUT_BACKBONES = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torchvision", "transformers", "timm", "PIL"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[2])
from quick_heads import apply_quick_settings

from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit

apply_quick_settings()
run = Path(sys.argv[1])
fit_heads(FitConfig(sys.argv[3]), run)
submit(SubmitConfig(out=str(run / "solution.csv")), run)
"""


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, "-c", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def submit_run(folder, **settings):
    return submit(SubmitConfig(out=str(folder / "solution.csv"), **settings), folder)


def contents(folder):
    """Content and modification time of each file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


def with_rows(features, **arrays):
    return replace(features, rows=replace(features.rows, **arrays))


# Content of a finished run


def test_solution_lists_the_requested_ids_in_order(finished):
    rows = finished.features.rows
    solution = read(finished.folder / "solution.csv")
    assert list(solution[0]) == ["ID", "hate"]
    assert [line["ID"] for line in solution] == rows.id[requested_rows(rows)].tolist()
    assert {line["hate"] for line in solution} == {"0", "1"}


def test_predictions_list_every_test_row_and_agree_with_the_solution(finished):
    rows = finished.features.rows
    predictions = {line["id"]: line for line in read(finished.folder / "predictions.csv")}
    assert set(predictions) == set(rows.id[rows.split == "test"])
    for line in read(finished.folder / "solution.csv"):
        assert predictions[line["ID"]]["label"] == line["hate"]


def test_metrics_have_rows_threshold_and_intervals_of_every_head(finished):
    metrics = metrics_of(finished.folder)
    assert [head["name"] for head in metrics["heads"]] == ALL
    assert [head["name"] for head in metrics["heads"] if head["member"]] == MEMBERS
    rows = finished.features.rows
    count = {"held_out": finished.features.reported.sum(), "test": (rows.split == "test").sum()}
    names = {f"{metric}_{at}" for metric in METRICS for at in ("default", "tuned")}
    names |= {"auroc", "average_precision", "brier", "log_loss"}
    for evaluated in [*metrics["heads"], metrics["ensemble"]]:
        assert 0 <= evaluated["threshold"]["value"] <= 1
        scores = evaluated["scores"]
        assert len(scores.pop("fold_auroc")) == len(planted.TWO_SPACES)
        assert set(scores) == set(count)
        for name, found in scores.items():
            assert found.pop("rows") == count[name]
            assert 0 < found.pop("positives") < count[name]
            assert 0 <= found.pop("calibration_error") <= 1
            assert set(found) == names
            for metric in found.values():
                low, high = metric["interval"]
                assert 0 <= low <= high and metric["value"] >= 0


def test_metrics_describe_each_head_in_each_kind_of_space(finished):
    for head in metrics_of(finished.folder)["heads"]:
        kinds = {kind["name"]: kind for kind in head["kinds"]}
        expected = {"joint": KINDS[:1], "stack": ["logits"]}.get(head["name"], KINDS)
        assert list(kinds) == expected
        assert head["blend"] and set(head["blend"]) <= set(expected)
        for name, kind in kinds.items():
            assert set(kind["calibration"]) == {"kind", "slope", "intercept"}
            assert kind["fitted_rows"] > 0 and 0 <= kind["auroc"]["held_out"] <= 1
            tuned = name == "fine-tuned"
            assert list(kind["spaces"]) == (list(planted.TWO_SPACES) if tuned else [name])
            assert kind["choice"]["fitted_on"] in (
                ("seen", "unseen", "all") if tuned else ("unseen",)
            )
            for space, models in kind["spaces"].items():
                folder = finished.folder / "heads" / head["name"] / space
                assert len(list(folder.glob("fit_*"))) == models


def test_metrics_describe_the_ensemble(finished):
    metrics, heads = metrics_of(finished.folder), finished.folder / "heads"
    ensemble = metrics["ensemble"]
    assert read_json(heads / "ensemble.json", "submit") == ensemble
    assert ensemble["stamp"] == metrics["stamp"] == "a"
    assert list(ensemble["weights"]) == [fact["name"] for fact in ensemble["members"]] == MEMBERS
    assert sum(ensemble["weights"].values()) == pytest.approx(1)
    assert np.array(ensemble["correlation"]).shape == (len(MEMBERS),) * 2
    tried = {trial["kind"]: trial["log_loss"] for trial in ensemble["tried"]}
    assert list(tried) == list(ENSEMBLES)
    assert tried[ensemble["kind"]] == min(tried.values())
    rows, held_out = finished.features.rows, read_ensemble_probabilities(heads).held_out
    reported = finished.features.reported
    np.testing.assert_array_equal(~np.isnan(held_out), reported)
    y = rows.label[reported]
    assert ensemble["scores"]["held_out"]["log_loss"]["value"] == pytest.approx(
        mean_log_loss(y, held_out[reported])
    )
    assert (ensemble["trained_prior"], ensemble["prior"]) == (pytest.approx(y.mean()), None)


def test_metrics_are_strict_json(finished):
    text = (finished.folder / "metrics.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_interaction_heads_win_and_held_out_metrics_agree_with_test(finished):
    scores = {head["name"]: head["scores"] for head in metrics_of(finished.folder)["heads"]}
    area = {name: score["held_out"]["auroc"]["value"] for name, score in scores.items()}
    for name in ("interaction", "lightgbm", "knn"):
        assert area[name] > 0.9
        assert scores[name]["test"]["auroc"]["value"] == pytest.approx(area[name], abs=0.05)
    assert all(area[name] < 0.65 for name in ("linear", "joint", "stack", *REFERENCES))


@pytest.mark.parametrize("name", ALL)
def test_every_head_is_reported_on_the_same_rows(finished, name):
    found = read_probabilities(finished.folder / "heads" / name)
    reported = finished.features.reported
    np.testing.assert_array_equal(~np.isnan(found.held_out), reported)
    np.testing.assert_array_equal(~np.isnan(found.row_threshold), reported)
    test = ~finished.features.rows.labelled
    np.testing.assert_array_equal(np.isfinite(found.final), test)
    assert np.isfinite(found.kind_final[:, test]).all()


def test_tables_fit_80_columns_without_truncation(finished):
    for output in (finished.fit_output, finished.submit_output):
        assert "…" not in output
        assert max(map(len, output.splitlines())) <= 80
        for name in ALL:
            assert sum(line.strip().startswith(f"{name} ") for line in output.splitlines()) == 2
    assert "ensemble (" not in finished.fit_output
    assert finished.submit_output.count("ensemble (") == 2


def test_without_test_labels_only_the_held_out_table_is_printed(tmp_path, capsys):
    planted.write(
        tmp_path / "features.h5", planted.table(test_labels=False, spaces=planted.ONE_SPACE)
    )
    fit_heads(FitConfig("linear"), tmp_path)
    assert capsys.readouterr().out.count("AUROC") == 1
    assert all(head["scores"]["test"] is None for head in metrics_of(tmp_path)["heads"])


def test_single_pair_of_backbones_is_reported_on_its_left_out_fold(tmp_path):
    features = planted.table("linear", spaces=planted.ONE_SPACE)
    planted.write(tmp_path / "features.h5", features)
    fit_heads(FitConfig("linear,stack"), tmp_path)
    submit_run(tmp_path)
    left_out = features.rows.labelled & (features.rows.fold == 0)
    assert 60 < left_out.sum() < 120
    for name in ("joint", "linear", "stack"):
        held_out = read_probabilities(tmp_path / "heads" / name).held_out
        np.testing.assert_array_equal(~np.isnan(held_out), left_out)
    [logits] = next(h for h in metrics_of(tmp_path)["heads"] if h["name"] == "stack")["kinds"]
    # The parents' predictions of their own training rows must not be used to fit the stack.
    assert logits["fitted_rows"] == pytest.approx(left_out.sum() * 0.8, abs=1)


# Reproducibility


def reproducible_content(path):
    """Content of a file without times, paths and checksums over them."""

    def cut(value):
        if isinstance(value, dict):
            return {key: cut(one) for key, one in value.items() if key not in VARYING_KEYS}
        return [cut(one) for one in value] if isinstance(value, list) else value

    return cut(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()


def test_run_in_another_process_without_backbones_gives_the_same_bytes(finished, tmp_path):
    shutil.copy(finished.folder / "features.h5", tmp_path)
    run_python(
        WITHOUT_BACKBONES, str(tmp_path), str(Path(__file__).parents[1]), ",".join(MEMBERS[1:])
    )
    names = sorted(contents(finished.folder))
    assert sorted(contents(tmp_path)) == names
    assert {"solution.csv", "heads/stack/probabilities.npz"} < set(names)
    for name in names:
        found, expected = (reproducible_content(one / name) for one in (tmp_path, finished.folder))
        assert found == expected, name


@pytest.mark.parametrize("module", ["heads", "heads.config", "pipeline", "runtime.config_fields"])
def test_help_does_not_import_slow_libraries(module):
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()
    slow = {"torch", "sklearn", "lightgbm", "pandas", "scipy", "h5py", "transformers"}
    assert not slow & set(loaded)


def test_fitting_one_head_again_rewrites_only_that_head(run):
    before = contents(run / "heads")
    fit_heads(FitConfig("knn"), run)
    after = contents(run / "heads")
    changed = {name.split("/")[0] for name in before if after.get(name) != before[name]}
    # The ensemble was built from the previous heads.
    assert changed == {"knn", "ensemble.json"}
    # The same features give the same head, except for the time in head.json.
    same = [name for name in before if name in after and not name.endswith("knn/head.json")]
    assert all(after[name][0] == before[name][0] for name in same)
    assert [head["name"] for head in metrics_of(run)["heads"]] == ALL
    assert metrics_of(run)["ensemble"] is None


def test_submitting_reads_no_embeddings_and_changes_no_head(run):
    (run / "features.h5").unlink()
    heads = {name: contents(run / "heads" / name) for name in ALL}
    blank = planted.table(strength=2.5)
    spaces = [replace(space, image=np.full_like(space.image, np.nan)) for space in blank.spaces]
    planted.write(run / "features.h5", replace(blank, spaces=spaces))
    solution = (run / "solution.csv").read_bytes()
    assert submit_run(run).read_bytes() == solution
    assert {name: contents(run / "heads" / name) for name in ALL} == heads


# Stacking


def test_stack_without_fitted_parents_names_them(tmp_path):
    planted.write(tmp_path / "features.h5", planted.table())
    with pytest.raises(UserError, match=r"--heads: stack stacks linear, .* add linear"):
        fit_heads(FitConfig("stack"), tmp_path)


def test_stack_with_parents_of_other_features_names_them(run):
    other_features(run)
    with pytest.raises(UserError, match=r"--heads: stack stacks linear, .* add linear"):
        fit_heads(FitConfig("stack"), run)


def test_stack_fitted_alone_uses_its_saved_parents(finished, run):
    shutil.rmtree(run / "heads" / "stack")
    fit_heads(FitConfig("stack"), run)
    name = "heads/stack/probabilities.npz"
    assert (run / name).read_bytes() == (finished.folder / name).read_bytes()


def test_parents_are_fitted_first_whatever_the_order_of_heads(tmp_path):
    planted.write(tmp_path / "features.h5", planted.table())
    fit_heads(FitConfig("stack,linear"), tmp_path)
    assert (tmp_path / "heads" / "stack" / "head.json").is_file()


def test_stack_combines_the_signal_of_different_spaces(tmp_path):
    features = planted.table("linear", 600, strength=1.2)
    # The fusion head has no signal; linear has independent signal in three kinds of spaces.
    planted.write(tmp_path / "features.h5", features)
    fit_heads(FitConfig("linear,stack"), tmp_path)
    heads = {head["name"]: head for head in metrics_of(tmp_path)["heads"]}
    areas = [kind["auroc"]["held_out"] for kind in heads["linear"]["kinds"]]
    assert heads["stack"]["scores"]["held_out"]["auroc"]["value"] > max(areas) + 0.02


# Heads of other features


def other_features(run):
    return planted.write(run / "features.h5", planted.table(stamp="b"))


def test_heads_fitted_on_other_features_are_not_submitted(run):
    other_features(run)
    before = contents(run)
    with pytest.raises(UserError, match=r"linear, interaction, .* fitted on other features"):
        submit_run(run)
    assert contents(run) == before


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_fitting_removes_heads_of_other_features_or_another_metric(run, capsys, metric):
    if metric == "accuracy":
        other_features(run)
    fit_heads(FitConfig("linear", metric=metric), run)
    err = capsys.readouterr().err
    left = ["joint", "linear", *REFERENCES]
    for name in ALL:
        assert f"removing {name}:" in err
        assert (run / "heads" / name).exists() == (name in left)
    assert [head["name"] for head in metrics_of(run)["heads"]] == left


def test_commands_out_of_order_name_the_command_to_run_first(tmp_path, finished):
    with pytest.raises(UserError, match=r"python pipeline\.py extract"):
        fit_heads(FitConfig("linear"), tmp_path)
    shutil.copy(finished.folder / "features.h5", tmp_path)
    with pytest.raises(UserError, match=r"python pipeline\.py fit-heads"):
        submit_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["features.h5"]
