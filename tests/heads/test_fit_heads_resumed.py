"""An interrupted fit-heads or submit leaves no file that looks finished; fit-heads resumes."""

import planted
import pytest

from heads import run as stage
from heads.config import FitConfig, SubmitConfig
from runtime.errors import UserError
from runtime.files.json_files import write_json

CONFIG = FitConfig("linear,knn")


@pytest.fixture
def run(quick, tmp_path):
    planted.write(tmp_path / "features.h5", planted.table("linear", 200, spaces=("pretrained",)))
    return tmp_path


@pytest.fixture
def fitted(monkeypatch):
    """A list of the heads that get fitted, and a dict of errors to raise instead, by head name."""
    names, errors, fit_head = [], {}, stage.fit_head

    def fit(name, *args):
        if name in errors:
            raise errors[name]
        names.append(name)
        return fit_head(name, *args)

    monkeypatch.setattr(stage, "fit_head", fit)
    return names, errors


def test_heads_fitted_before_ctrl_c_are_reused(run, fitted):
    names, errors = fitted
    errors["knn"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.fit_heads(CONFIG, run)
    with pytest.raises(UserError, match="fit-heads was interrupted"):
        stage.submit(SubmitConfig(out=str(run / "s.csv")), run)
    first = list(names)
    assert "linear" in first
    errors.clear()
    stage.fit_heads(CONFIG, run)
    assert sorted(names) == sorted(set(names)), "no head is fitted twice"
    assert not (run / "heads" / "begun.json").exists()
    del names[:]
    stage.fit_heads(CONFIG, run)
    assert names == ["linear", "knn"], "a complete call leaves nothing to resume"


def test_deleted_head_or_head_of_another_request_is_fitted_again(run, fitted):
    names, errors = fitted
    errors["knn"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.fit_heads(CONFIG, run)
    (run / "heads/linear/head.json").unlink()
    errors.clear()
    del names[:]
    stage.fit_heads(CONFIG, run)
    assert "linear" in names
    write_json(run / "heads/begun.json", {"stamp": "another", "fitted": ["linear"]})
    del names[:]
    stage.fit_heads(CONFIG, run)
    assert "linear" in names


def test_stack_is_fitted_again_after_its_parent(run, fitted):
    """Else `predict` feeds a stack with another `linear` than that on which it was fitted."""
    stage.fit_heads(FitConfig("linear,knn,stack"), run)
    names, errors = fitted
    del names[:]
    stage.fit_heads(FitConfig("knn"), run)
    assert names == ["knn"]
    errors["stack"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.fit_heads(FitConfig("linear"), run)
    errors.clear()
    del names[:]
    stage.fit_heads(FitConfig("knn"), run)
    assert names == ["knn", "stack"], "the interrupted call fitted linear anew"


def test_closed_pipe_leaves_metrics_that_submit_can_read(run, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr(stage, "print_results_tables", closed)
    with pytest.raises(BrokenPipeError):
        stage.fit_heads(CONFIG, run)
    assert (run / "metrics.json").is_file()


def test_error_in_a_head_leaves_no_metrics_to_submit(run, fitted):
    stage.fit_heads(CONFIG, run)
    names, errors = fitted
    errors["knn"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        stage.fit_heads(CONFIG, run)
    with pytest.raises(UserError, match=r"metrics\.json is missing"):
        stage.submit(SubmitConfig(out=str(run / "s.csv")), run)
    errors.clear()
    del names[:]
    stage.fit_heads(CONFIG, run)
    assert names == ["linear", "knn"], "heads fitted before an error are not reused"


def test_interrupted_submit_deletes_the_record_of_the_previous_solution(run, monkeypatch):
    stage.fit_heads(CONFIG, run)
    config = SubmitConfig(out=str(run / "s.csv"))
    stage.submit(config, run)
    assert (run / "solution.json").is_file()

    def end(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_solution", end)
    with pytest.raises(KeyboardInterrupt):
        stage.submit(config, run)
    assert not (run / "solution.json").exists()
