"""What stage two has made of a run, and whether it is of the features that the run has now."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from features.hdf5_store import read_attributes
from heads.ensemble.saved_ensemble import read_ensemble
from heads.fitting.saved_heads import read_record
from heads.registry import ENTRIES
from heads.run import PROGRESS, SOLUTION
from runtime.errors import UserError
from runtime.json_files import read_json
from runtime.run_steps import BEGUN, DONE, MISSING, STALE, Step, steps_or_damage


def steps_of_stage_two(run: Path) -> Iterator[Step]:
    """Yield heads, ensemble, solution, check and report; nothing if there are no features."""
    try:
        stamp = read_attributes(run / "features.h5")["stamp"]
    except UserError:
        return
    yield from steps_or_damage("heads", lambda: _heads(run / "heads", stamp))
    yield from steps_or_damage("ensemble", lambda: [_ensemble(run / "heads", stamp)])
    yield from steps_or_damage("solution", lambda: [_solution(run, stamp)])
    yield _of_the_ensemble(run, "check.json", "check")
    yield _of_the_ensemble(run, "report.html", "report")


def _heads(folder: Path, stamp: str) -> Iterator[Step]:
    found = [name for name in ENTRIES if (folder / name / "head.json").is_file()]
    stale = [name for name in found if read_record(folder / name).stamp != stamp]
    fitted = [name for name in found if name not in stale]
    if (folder / PROGRESS).is_file():
        done = read_json(folder / PROGRESS, "fit-heads").get("fitted", [])
        kept = ", ".join(done) or "no head"
        yield Step("heads", BEGUN, f"fit-heads was broken off and goes on after {kept}")
    elif fitted:
        yield Step("heads", DONE, ", ".join(fitted))
    else:
        yield Step("heads", MISSING, "python pipeline.py fit-heads")
    if stale:
        yield Step("heads", STALE, f"{', '.join(stale)}: fitted on other features; fit-heads")


def _ensemble(heads: Path, stamp: str) -> Step:
    if not (heads / "ensemble.json").is_file():
        return Step("ensemble", MISSING, "python pipeline.py submit")
    ensemble = read_ensemble(heads)
    if ensemble.stamp != stamp:
        return Step("ensemble", STALE, "of heads on other features; fit-heads, then submit")
    return Step("ensemble", DONE, ensemble.kind)


def _solution(run: Path, stamp: str) -> Step:
    if not (run / SOLUTION).is_file():
        return Step("solution", MISSING, "python pipeline.py submit")
    about = read_json(run / SOLUTION, "submit")
    path, heads = Path(about["path"]), run / "heads" / "ensemble.json"
    if not path.is_file():
        return Step("solution", MISSING, f"{path} is gone; submit")
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["sha256"]:
        return Step("solution", STALE, f"{path} is not what submit wrote there")
    if about["stamp"] != stamp or not heads.is_file():
        return Step("solution", STALE, f"{path} is of earlier features or heads; submit")
    return Step("solution", DONE, f"{path}, of this ensemble")


def _of_the_ensemble(run: Path, file: str, command: str) -> Step:
    """A file that is made after the ensemble, and no longer holds once that is made anew."""
    ensemble, path = run / "heads" / "ensemble.json", run / file
    if not path.is_file():
        return Step(command, MISSING, f"python pipeline.py {command}")
    if not ensemble.is_file() or path.stat().st_mtime_ns < ensemble.stat().st_mtime_ns:
        return Step(command, STALE, f"{path} is of earlier heads; {command}")
    return Step(command, DONE, str(path))
