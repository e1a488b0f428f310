"""Test `status` of the steps of stage two: done, interrupted, stale or missing, and why."""

import shutil

from heads.status import steps_of_stage_two
from runtime.files.json_files import read_json, write_json


def states(run):
    return {step.name: step.state for step in steps_of_stage_two(run)}


def test_steps_of_a_submitted_run_are_done_except_the_check(run):
    expected = {"heads": "done", "ensemble": "done", "check": "missing", "report": "done"}
    assert states(run).items() >= expected.items()


def test_an_edited_solution_is_stale(run, tmp_path):
    record_path, solution = run / "solution.json", tmp_path / "solution.csv"
    record = read_json(record_path, "submit")
    shutil.copyfile(record["path"], solution)
    write_json(record_path, {**record, "path": str(solution)})
    assert states(run)["solution"] == "done"
    solution.write_text(solution.read_text().replace("1\n", "0\n"))
    assert states(run)["solution"] == "stale"
    solution.unlink()
    assert states(run)["solution"] == "missing"


def test_steps_after_refitted_heads_are_stale(run):
    (run / "heads" / "ensemble.json").unlink()
    found = states(run)
    assert (found["ensemble"], found["report"]) == ("missing", "stale")
    assert found["solution"] in ("stale", "missing")


def test_heads_fitted_on_other_features_are_stale(run):
    path = run / "heads" / "linear" / "head.json"
    write_json(path, {**read_json(path, "fit-heads"), "stamp": "another"})
    stale = [step for step in steps_of_stage_two(run) if step.state == "stale"]
    assert stale[0].detail == "linear: fitted on other features; run fit-heads"


def test_interrupted_fit_heads_reports_the_fitted_heads(run):
    write_json(run / "heads" / "begun.json", {"fitted": ["linear"]})
    step = next(step for step in steps_of_stage_two(run) if step.name == "heads")
    assert (step.state, step.detail) == (
        "begun",
        "fit-heads was interrupted and resumes after linear",
    )


def test_damaged_files_are_stale_and_other_steps_are_still_reported(run):
    (run / "solution.json").write_bytes(b"half")
    (run / "heads" / "linear" / "head.json").write_bytes(b"{}")
    found = {step.name: step for step in steps_of_stage_two(run)}
    assert found["solution"].state == found["heads"].state == "stale"
    assert "solution.json is damaged" in found["solution"].detail
    assert found["ensemble"].state == "done"


def test_heads_and_ensemble_are_missing_without_heads(run):
    shutil.rmtree(run / "heads")
    found = states(run)
    assert (found["heads"], found["ensemble"]) == ("missing", "missing")
