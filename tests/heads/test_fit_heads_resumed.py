"""A fit-heads that ends before its time leaves nothing that looks finished, and goes on."""

import planted
import pytest

from heads import run as stage
from heads.config import FitConfig, SubmitConfig
from runtime.errors import UserError
from runtime.json_files import write_json

ASKED = FitConfig("linear,knn")


@pytest.fixture
def run(quick, tmp_path):
    planted.write(tmp_path / "features.h5", planted.table("linear", 200))
    return tmp_path


@pytest.fixture
def fitted(monkeypatch):
    """Names of the heads that are fitted; and by name the errors that heads end with instead."""
    names, ends, fit_head = [], {}, stage.fit_head

    def fit(name, *args):
        if name in ends:
            raise ends[name]
        names.append(name)
        return fit_head(name, *args)

    monkeypatch.setattr(stage, "fit_head", fit)
    return names, ends


def test_heads_fitted_before_ctrl_c_are_kept(run, fitted):
    names, ends = fitted
    ends["knn"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.fit_heads(ASKED, run)
    with pytest.raises(UserError, match="broken off"):
        stage.submit(SubmitConfig(out=str(run / "s.csv")), run)
    first = list(names)
    assert "linear" in first
    ends.clear()
    stage.fit_heads(ASKED, run)
    assert sorted(names) == sorted(set(names)), "none twice"
    assert not (run / "heads" / "begun.json").exists()
    del names[:]
    stage.fit_heads(ASKED, run)
    assert names == ["linear", "knn"], "a whole call leaves nothing to be kept"


def test_one_that_was_deleted_meanwhile_or_asked_for_otherwise_is_not_taken_as_kept(run, fitted):
    names, ends = fitted
    ends["knn"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        stage.fit_heads(ASKED, run)
    (run / "heads/linear/head.json").unlink()
    ends.clear()
    del names[:]
    stage.fit_heads(ASKED, run)
    assert "linear" in names
    write_json(run / "heads/begun.json", {"stamp": "another", "fitted": ["linear"]})
    del names[:]
    stage.fit_heads(ASKED, run)
    assert "linear" in names


def test_a_head_at_fault_leaves_no_figures_to_submit_by(run, fitted):
    stage.fit_heads(ASKED, run)
    names, ends = fitted
    ends["knn"] = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        stage.fit_heads(ASKED, run)
    with pytest.raises(UserError, match=r"metrics\.json is missing"):
        stage.submit(SubmitConfig(out=str(run / "s.csv")), run)
    ends.clear()
    del names[:]
    stage.fit_heads(ASKED, run)
    assert names == ["linear", "knn"], "what a fault may have spoilt is not kept"


def test_a_submit_that_ends_early_leaves_no_word_of_the_solution_before(run, monkeypatch):
    stage.fit_heads(ASKED, run)
    config = SubmitConfig(out=str(run / "s.csv"))
    stage.submit(config, run)
    assert (run / "solution.json").is_file()

    def end(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "write_solution", end)
    with pytest.raises(KeyboardInterrupt):
        stage.submit(config, run)
    assert not (run / "solution.json").exists()
