"""Overhead of protection against data loss: checksums, disk flushes and training checkpoints.

    python -m benchmarks.protections

Runs extract, fit-heads and submit on the built-in sample in this process and measures the time
spent in functions that only protect against crashes and damaged files.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run_command
from extract import run as stage_one
from extract.config import ExtractConfig
from extract.training import resume_training
from features import hdf5_checksums, hdf5_store
from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime import lock
from runtime.files import atomic_files, file_checksums, json_files, safetensors_files
from runtime.lock import locked

TIMED = {
    "checksums": [
        *(
            (hdf5_checksums, name)
            for name in ("write_checksum", "verify_checksum", "_compare", "xxhash")
        ),
        *((module, "_checksum") for module in (json_files, safetensors_files)),
        (file_checksums, "file_checksum"),
    ],
    "flushes to disk": [(atomic_files, "flush")],
    "training states between epochs": [(resume_training, "save_training_state")],
    "search for leftover files": [(lock, "remove_leftovers")],
}


def main(
    memes: Annotated[int, typer.Option(help="Number of sample memes.")] = 1000,
    epochs: Annotated[int, typer.Option(help="Maximum number of epochs in stage one.")] = 4,
) -> None:
    """Print a table of seconds and shares, and JSON on the last line of stdout."""
    spent = dict.fromkeys(TIMED, 0.0)
    with tempfile.TemporaryDirectory() as folder, measure_time(spent):
        os.chdir(folder)
        start = time.perf_counter()
        with locked(Path("runs/r")) as run:
            stage_one.extract(ExtractConfig(sample_memes=memes, epochs=epochs), run)
            fit_heads(FitConfig(), run, show=False)
            submit(SubmitConfig(), run)
        total = time.perf_counter() - start
    table = Table(title=f"extract, fit-heads, submit on {memes} sample memes: {total:.0f} s")
    for column in ("protection", "s", "share"):
        table.add_column(column, justify="right" if column != "protection" else "left")
    for name, seconds in {**spent, "total": sum(spent.values())}.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / total:.2%}")
    Console(width=80).print(table)
    print(json.dumps({"memes": memes, "seconds": total, "spent": spent}))


@contextmanager
def measure_time(spent: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of each kind of protection. Nested calls count once, for the outer one."""
    depth = 0

    def wrap(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            nonlocal depth
            depth += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:
                    spent[name] += time.perf_counter() - start

        return timed

    for name, functions in TIMED.items():
        for module, attribute in functions:
            if attribute == "xxhash":
                hdf5_checksums.xxhash = TimedXxhash(wrap, name)
                continue
            timed = wrap(name, getattr(module, attribute))
            for importer in importers(module, attribute):
                setattr(importer, attribute, timed)
    yield


def importers(module: ModuleType, attribute: str) -> list[ModuleType]:
    """The modules in which a function is bound to this name."""
    function = getattr(module, attribute)
    return [m for m in (module, hdf5_store) if getattr(m, attribute, None) is function]


class TimedXxhash:
    """Replacement for the module xxhash whose digests measure the time of `update`."""

    def __init__(self, wrap: Callable[..., Any], name: str) -> None:
        self.wrap, self.name, self.xxhash = wrap, name, hdf5_checksums.xxhash

    def xxh3_64(self) -> Any:  # noqa: ANN401
        digest = self.xxhash.xxh3_64()

        class TimedDigest:
            update = staticmethod(self.wrap(self.name, digest.update))
            hexdigest = staticmethod(digest.hexdigest)

        return TimedDigest


if __name__ == "__main__":
    run_command(main)
