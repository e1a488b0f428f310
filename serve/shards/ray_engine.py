"""Score shards in many processes, on one or many machines, with Ray Data."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runtime.cluster.ray_workers import answers_of_workers
from runtime.errors import UserError
from serve.config import PredictConfig
from serve.shards.score_shard import Outcome, score_shard
from serve.shards.shard_list import Shard
from serve.table_predictions import load_run


def score_with_ray(
    config: PredictConfig, run: Path, shards: list[Shard], model: dict[str, Any]
) -> Iterator[Outcome]:
    """Yield the outcome of each shard, in the order in which they end.

    The models are loaded once per worker. Raises UserError if a worker cannot load them: it would
    fail one shard after the other.
    """
    lost = {shard.table.name for shard in shards}
    arguments = config, run, shards, model
    for answer in answers_of_workers(
        make_worker, arguments, len(shards), config.workers, use_gpus=config.device != "cpu"
    ):
        outcome = Outcome(**json.loads(answer))
        if outcome.shard not in lost:
            raise UserError(outcome.failure)
        lost.remove(outcome.shard)
        yield outcome
    for name in sorted(lost):
        yield Outcome(
            name, failure="Ray lost it. Its log files are in /tmp/ray/session_latest/logs"
        )


def make_worker(
    config: PredictConfig, run: Path, shards: list[Shard], model: dict[str, Any]
) -> Callable[[int], str]:
    """Load the run; return f(number of a shard) -> its outcome as JSON."""
    try:
        loaded = load_run(config, run)
    except Exception as error:  # Ray would print pages, and start the worker again
        failure = (
            f"A worker on {socket.gethostname()} cannot load {run}: {type(error).__name__}: {error}"
            "\nAll machines must see the run, the shards and the results under the same paths."
        )
        unusable = json.dumps(Outcome("", failure=failure)._asdict())
        return lambda number: unusable
    return lambda number: json.dumps(score_shard(loaded, shards[number], model)._asdict())
