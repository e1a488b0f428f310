"""What it costs that nothing is lost: seconds spent on checksums, flushes and kept states.

    python -m benchmarks.protections

Runs extract, fit-heads and submit on the built-in sample in this process, with a clock around all
that would not be there if no machine ever failed.
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

from extract import run as stage_one
from extract.config import ExtractConfig
from extract.training import training_state as training
from features import hdf5_checksums as sealed
from features import hdf5_store as store
from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime import atomic_files as files
from runtime import file_checksums as digests
from runtime import lock
from runtime import safetensors_files as tensors
from runtime.lock import locked

CLOCKED = {
    "checksums": [
        *((sealed, name) for name in ("seal", "verify", "_compare", "xxhash")),
        *((module, "_checksum") for module in (files, tensors)),
        (digests, "_digest"),
    ],
    "flushes to disk": [(files, "_flush")],
    "states between epochs": [(training, "save_training")],
    "leftovers looked for": [(lock, "remove_leftovers")],
}


def main(
    memes: Annotated[int, typer.Option(help="Sample memes.")] = 1000,
    epochs: Annotated[int, typer.Option(help="Epochs of stage one, at most.")] = 4,
) -> None:
    """Print a table of seconds and shares, and JSON to stdout's last line."""
    spent = dict.fromkeys(CLOCKED, 0.0)
    with tempfile.TemporaryDirectory() as folder, clocked(spent):
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
    for name, seconds in {**spent, "together": sum(spent.values())}.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / total:.2%}")
    Console(width=80).print(table)
    print(json.dumps({"memes": memes, "seconds": total, "spent": spent}))


@contextmanager
def clocked(spent: dict[str, float]) -> Iterator[None]:
    """Add up seconds by protection; of nested calls the outer one counts."""
    depth = 0

    def clock(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
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

    for name, places in CLOCKED.items():
        for module, attribute in places:
            if attribute == "xxhash":
                sealed.xxhash = Digests(clock, name)
                continue
            timed = clock(name, getattr(module, attribute))
            for user in users(module, attribute):
                setattr(user, attribute, timed)
    yield


def users(module: ModuleType, attribute: str) -> list[ModuleType]:
    """The modules that know a function under its name."""
    function = getattr(module, attribute)
    return [m for m in (module, store) if getattr(m, attribute, None) is function]


class Digests:
    """In the place of the module xxhash: digests whose updates are clocked."""

    def __init__(self, clock: Callable[..., Any], name: str) -> None:
        self.clock, self.name, self.plain = clock, name, sealed.xxhash

    def xxh3_64(self) -> Any:  # noqa: ANN401
        digest = self.plain.xxh3_64()

        class Clocked:
            update = staticmethod(self.clock(self.name, digest.update))
            hexdigest = staticmethod(digest.hexdigest)

        return Clocked


if __name__ == "__main__":
    typer.run(main)
