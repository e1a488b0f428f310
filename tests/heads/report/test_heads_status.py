"""`status` says of each step of stage two whether it stands, and why not."""

import shutil

from heads.status import steps_of_stage_two
from runtime.json_files import read_json, write_json


def states(run):
    return {step.name: step.state for step in steps_of_stage_two(run)}


def test_a_submitted_run_stands_but_for_what_was_not_asked_for(run):
    expected = {"heads": "done", "ensemble": "done", "check": "missing", "report": "done"}
    assert states(run).items() >= expected.items()


def test_a_solution_that_somebody_edited_is_stale(run, tmp_path):
    about, solution = run / "solution.json", tmp_path / "solution.csv"
    known = read_json(about, "submit")
    shutil.copyfile(known["path"], solution)
    write_json(about, {**known, "path": str(solution)})
    assert states(run)["solution"] == "done"
    solution.write_text(solution.read_text().replace("1\n", "0\n"))
    assert states(run)["solution"] == "stale"
    solution.unlink()
    assert states(run)["solution"] == "missing"


def test_heads_that_were_fitted_anew_leave_the_rest_stale(run):
    (run / "heads" / "ensemble.json").unlink()
    found = states(run)
    assert (found["ensemble"], found["report"]) == ("missing", "stale")
    assert found["solution"] in ("stale", "missing")


def test_heads_of_other_features_are_stale(run):
    path = run / "heads" / "linear" / "head.json"
    write_json(path, {**read_json(path, "fit-heads"), "stamp": "another"})
    said = [step for step in steps_of_stage_two(run) if step.state == "stale"]
    assert said[0].about == "linear: fitted on other features; fit-heads"


def test_a_fit_that_was_broken_off_says_where(run):
    write_json(run / "heads" / "begun.json", {"fitted": ["linear"]})
    step = next(step for step in steps_of_stage_two(run) if step.name == "heads")
    assert (step.state, step.about) == (
        "begun",
        "fit-heads was broken off and goes on after linear",
    )


def test_what_cannot_be_read_is_stale_and_the_rest_is_told(run):
    (run / "solution.json").write_bytes(b"half")
    (run / "heads" / "linear" / "head.json").write_bytes(b"{}")
    found = {step.name: step for step in steps_of_stage_two(run)}
    assert found["solution"].state == found["heads"].state == "stale"
    assert "solution.json is damaged" in found["solution"].about
    assert found["ensemble"].state == "done"


def test_without_heads_it_says_what_to_run(run):
    shutil.rmtree(run / "heads")
    found = states(run)
    assert (found["heads"], found["ensemble"]) == ("missing", "missing")
