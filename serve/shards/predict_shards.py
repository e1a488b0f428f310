"""Score all shards of a folder that are not finished; name at the end those that failed."""

import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from extract.spaces.checkpoint import any_checkpoint
from heads.predict import load_scorer
from runtime.cluster.engine_config import RAY
from runtime.errors import MAX_LISTED, UserError
from runtime.files.atomic_files import remove_folder, remove_leftovers
from runtime.lock import locked
from runtime.progress import log, progress
from serve.config import PredictConfig
from serve.shards.score_shard import Outcome, score_shard
from serve.shards.shard_list import STATE, Shard, is_finished, list_shards, warn_of_strangers
from serve.table_predictions import describe_model, load_run


def predict_shards(config: PredictConfig, run: Path) -> bool:
    """Score each table of the folder `config.data` into a file in the folder `config.out`.

    Shards that are finished are not scored again, unless their table, the model or the settings
    have changed. Returns whether all are finished now. If some failed, raises UserError if their
    data or the machine are the cause, and returns False if the cause is a defect of memefuse;
    both after all other shards were written and the reasons were printed.
    """
    data, out = Path(config.data).absolute(), Path(config.out).absolute()
    folder = config.image_folder
    if folder and Path(folder).is_dir():  # else it may be one in `data`
        folder = str(Path(folder).absolute())
    config = replace(config, data=str(data), out=str(out), image_folder=folder)
    run = run.absolute()
    scorer = load_scorer(run, any_checkpoint(run / "backbones").stamp)
    shards = list_shards(data, out)
    model = describe_model(config, scorer)
    with locked(out / STATE, flag="--out"):
        (out / STATE).mkdir(parents=True, exist_ok=True)
        _remove_unfinished(out / STATE)
        warn_of_strangers(shards, out)
        unfinished = [shard for shard in shards if not is_finished(shard, model)]
        log(f"{len(shards) - len(unfinished)} of {len(shards)} shards are finished already")
        failed = _watch(_score(config, run, unfinished, model), unfinished) if unfinished else []
        _remove_unfinished(out / STATE)
    return _report(failed, len(shards), out)


def _remove_unfinished(folder: Path) -> None:
    """Remove the lines and unpacked pictures of processes that were killed."""
    remove_leftovers([folder])
    for pictures in folder.glob("*.pictures"):
        remove_folder(pictures)


def _score(
    config: PredictConfig, run: Path, shards: list[Shard], model: dict[str, Any]
) -> Iterable[Outcome]:
    if config.engine == RAY:
        from serve.shards.ray_engine import score_with_ray

        return score_with_ray(config, run, shards, model)
    return _score_here(config, run, shards, model)


def _score_here(
    config: PredictConfig, run: Path, shards: list[Shard], model: dict[str, Any]
) -> Iterator[Outcome]:
    loaded = load_run(config, run)
    for shard in shards:
        yield score_shard(loaded, shard, model)


def _watch(outcomes: Iterable[Outcome], shards: list[Shard]) -> list[Outcome]:
    """Show progress and messages; return the outcomes of shards that failed."""
    failed, memes = [], 0
    with progress("score", len(shards), "shards") as advance:
        for outcome in outcomes:
            for line in outcome.messages.splitlines():
                log(f"{outcome.shard}: {line}")
            if outcome.failure:
                log(f"{outcome.shard}: FAILED, going on with the others\n{outcome.trace}".rstrip())
                failed.append(outcome)
            memes += outcome.memes
            advance(1)
    scored = len(shards) - len(failed)
    log(f"scored {memes} memes in {scored} {'shard' if scored == 1 else 'shards'}")
    return failed


def _report(failed: list[Outcome], count: int, out: Path) -> bool:
    """Return whether none failed; raise UserError if some did, but not by a defect of memefuse."""
    if not failed:
        return True
    failed = sorted(failed)
    shown = [_indented(f"{one.shard}: {one.failure}") for one in failed[:MAX_LISTED]]
    more = [f"  and {len(failed) - MAX_LISTED} more"] if len(failed) > MAX_LISTED else []
    lines = [f"{len(failed)} of {count} shards failed:", *shown, *more]
    advice = f"All others are in {out}. To score only these, run the same command again."
    message = "\n".join([*lines, advice])
    if not any(one.trace for one in failed):
        raise UserError(message)
    print(f"error: {message}", file=sys.stderr)
    return False


def _indented(text: str) -> str:
    return textwrap.indent(text, "  ")
