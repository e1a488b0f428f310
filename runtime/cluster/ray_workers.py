"""Ray Data: processes on this machine or on a cluster, each of which loads models once.

Ray is an optional package (Moritz et al. 2018, "Ray: A Distributed Framework for Emerging AI
Applications"). A process that dies is started again, and its task with it.
"""

import logging
import os
import secrets
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from runtime.errors import UserError
from runtime.progress import log

Answer = TypeVar("Answer", str, bytes)

INSTALL = "pip install -r requirements-scale.txt"

ADDRESS = "RAY_ADDRESS"
"""Environment variable that names an existing cluster, as Ray itself reads it."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
"""Nothing is reported to Ray's makers; its inner messages stay in its log files."""

PRIVATE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
"""A cluster on this machine listens only at 127.0.0.1, as Ray does on Windows and macOS anyway, and
only to processes that know a token: who reaches a Ray cluster can run code on it."""


MAX_DEATHS = 4
"""Processes that may die of one task: after that, it is the task that kills them."""


class Worker:
    """A process of Ray Data, which calls `make(*arguments)` once and its result for each task."""

    def __init__(self, make: Callable[..., Callable[[int], Answer]], arguments: tuple) -> None:
        self.answer = make(*arguments)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Answer]]:
        """Answer a batch of one task number."""
        try:
            return {"answer": [self.answer(int(number)) for number in batch["task"]]}
        except Exception:  # Ray would leave this task out
            return {"failure": [traceback.format_exc()]}


def answers_of_workers(
    make: Callable[..., Callable[[int], Answer]],
    arguments: tuple,
    tasks: int,
    workers: int | None,
    use_gpus: bool,
) -> Iterator[Answer]:
    """Yield `make(*arguments)(number)` for each number below `tasks`, in the order that they end.

    Each worker calls `make` once. There is one worker per GPU of the cluster if `use_gpus` and it
    has any, else one per CPU core, unless `workers` says how many. A task whose worker dies is
    tried again; its answer is left out once MAX_DEATHS died of it. Raises UserError if Ray is not
    installed or its cluster cannot be reached, and RuntimeError for an exception in a worker.
    """
    with _cluster(workers) as ray:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if use_gpus else 0
        count = min(workers or gpus or int(resources["CPU"]), tasks)
        kind = "a GPU" if gpus else "a CPU core"
        log(f"ray: {count} workers with {kind} each on {len(ray.nodes())} machines")
        # `ray.data.range` would need a CPU core for itself, and wait for one without end.
        numbers = [{"task": number} for number in range(tasks)]
        answers = ray.data.from_items(numbers, override_num_blocks=tasks).map_batches(
            Worker,
            fn_constructor_args=(make, arguments),
            batch_size=1,
            # With more, tasks would wait for a busy worker while others are idle.
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=1 if gpus else None,
            # Without it, Ray would try for ever. Ray 2.64 is to remove it.
            max_task_retries=MAX_DEATHS - 1,
        )
        for row in answers.iter_rows():
            if failure := row.get("failure"):
                raise RuntimeError(f"in a process of Ray:\n{failure}")
            yield row["answer"]


@contextmanager
def _cluster(workers: int | None) -> Iterator[ModuleType]:
    """Connect to the cluster ADDRESS, or start one on this machine that ends with this context."""
    ray = _load_ray()
    address = os.environ.get(ADDRESS)
    # Ray prints what its processes report to stdout, which is for results.
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            with _silent_libraries():
                if address:
                    _knock(address)
                    ray.init(address=address, **shared)
                else:
                    ray.init(address="local", num_cpus=workers, include_dashboard=False, **shared)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = f"the cluster {ADDRESS}={address}" if address else "Ray on this machine"
            raise UserError(f"--engine ray: {where} does not answer: {error}") from error
        _quieten(ray)
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at an address: Ray would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _load_ray() -> ModuleType:
    os.environ.update({**QUIET, **os.environ})
    if not os.environ.get(ADDRESS):
        token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ.update({**PRIVATE, **token, **os.environ})
    try:
        return import_module("ray.data") and import_module("ray")
    except ImportError as error:
        missing = f"--engine ray needs packages that are not installed ({error})"
        raise UserError(f"{missing}. Run: {INSTALL}") from error


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Discard what C++ code writes to stderr: Ray's says there that its log level was set."""
    stderr = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _quieten(ray: ModuleType) -> None:
    """Show no progress of Ray's own, and leave out blocks that are lost: the caller misses them."""
    settings = ray.data.DataContext.get_current()
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    settings.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
