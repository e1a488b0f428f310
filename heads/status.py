"""Status of stage two: which of its steps are done, interrupted, outdated or missing."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from features.hdf5_store import read_attributes
from heads.config import PROGRESS_FILE, SOLUTION_FILE
from heads.ensemble.saved_ensemble import read_ensemble
from heads.fitting.saved_heads import read_record, saved_heads
from runtime.errors import UserError
from runtime.files.json_files import read_json
from runtime.run_steps import BEGUN, DONE, MISSING, STALE, Step, steps_or_error


def steps_of_stage_two(run: Path) -> Iterator[Step]:
    """Yield heads, ensemble, solution, check and report; no step if features.h5 is unusable."""
    try:
        stamp = read_attributes(run / "features.h5")["stamp"]
    except UserError:
        return
    yield from steps_or_error("heads", lambda: _heads(run / "heads", stamp))
    yield from steps_or_error("ensemble", lambda: [_ensemble(run / "heads", stamp)])
    yield from steps_or_error("solution", lambda: [_solution(run, stamp)])
    yield _written_after_ensemble(run, "check.json", "check")
    yield _written_after_ensemble(run, "report.html", "report")


def _heads(folder: Path, stamp: str) -> Iterator[Step]:
    found = saved_heads(folder)
    stale = [name for name in found if read_record(folder / name).stamp != stamp]
    fitted = [name for name in found if name not in stale]
    if (folder / PROGRESS_FILE).is_file():
        done = read_json(folder / PROGRESS_FILE, "fit-heads").get("fitted", [])
        finished = ", ".join(done) or "no head"
        yield Step("heads", BEGUN, f"fit-heads was interrupted and resumes after {finished}")
    elif fitted:
        yield Step("heads", DONE, ", ".join(fitted))
    else:
        yield Step("heads", MISSING, "python pipeline.py fit-heads")
    if stale:
        yield Step("heads", STALE, f"{', '.join(stale)}: fitted on other features; run fit-heads")


def _ensemble(heads: Path, stamp: str) -> Step:
    if not (heads / "ensemble.json").is_file():
        return Step("ensemble", MISSING, "python pipeline.py submit")
    ensemble = read_ensemble(heads)
    if ensemble.stamp != stamp:
        return Step("ensemble", STALE, "built on other features; run fit-heads, then submit")
    return Step("ensemble", DONE, ensemble.kind)


def _solution(run: Path, stamp: str) -> Step:
    if not (run / SOLUTION_FILE).is_file():
        return Step("solution", MISSING, "python pipeline.py submit")
    record = read_json(run / SOLUTION_FILE, "submit")
    path, ensemble = Path(record["path"]), run / "heads" / "ensemble.json"
    if not path.is_file():
        return Step("solution", MISSING, f"{path} no longer exists; run submit")
    if hashlib.sha256(path.read_bytes()).hexdigest() != record["sha256"]:
        return Step("solution", STALE, f"{path} was changed after submit wrote it; run submit")
    if record["stamp"] != stamp or not ensemble.is_file():
        return Step("solution", STALE, f"{path} is of earlier features or heads; run submit")
    return Step("solution", DONE, f"{path}, written from this ensemble")


def _written_after_ensemble(run: Path, file: str, command: str) -> Step:
    """Return the state of a file that is outdated once the ensemble is newer."""
    ensemble, path = run / "heads" / "ensemble.json", run / file
    if not path.is_file():
        return Step(command, MISSING, f"python pipeline.py {command}")
    if not ensemble.is_file() or path.stat().st_mtime_ns < ensemble.stat().st_mtime_ns:
        return Step(command, STALE, f"{path} is of earlier heads; run {command}")
    return Step(command, DONE, str(path))
