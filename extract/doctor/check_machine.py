"""What a run would compute on: the device, its threads, and the libraries that bring threads."""

import math
import os
from collections import Counter
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from extract.doctor.cpu_and_memory import cores
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.towers.device import Machine, choose_machine
from runtime.errors import UserError

DRIVER = Path("/dev/nvidiactl")
"""There wherever the driver of an NVIDIA GPU is loaded."""


def check_device(device: str, precision: str) -> tuple[Machine | None, Finding]:
    """The device and the precision that a run would use."""
    try:
        machine = choose_machine(device, precision)
    except UserError as error:
        return None, Finding(FAIL, "device", str(error))
    said = machine.describe()
    if machine.device.type == "cpu" and device == "auto" and DRIVER.exists():
        reason = "finds no usable one" if torch.backends.cuda.is_built() else "is a CPU-only build"
        found = f"{said}: there is an NVIDIA GPU, but torch {torch.__version__} {reason}"
        advice = "see whether nvidia-smi lists it, and pip install -r requirements.txt"
        return machine, Finding(WARNING, "device", found, advice)
    if said.startswith("cpu") and precision == "bf16" and not torch.cpu._is_avx512_bf16_supported():
        found = f"{said}: this chip computes bf16 slower than fp32"
        return machine, Finding(WARNING, "device", found, "--precision auto")
    return machine, Finding(OK, "device", said)


def check_threads() -> Finding:
    """As many threads as cores, and cores that nobody else keeps busy."""
    asked = os.environ.get("OMP_NUM_THREADS")
    threads, usable = torch.get_num_threads(), cores()
    said = f"{threads} thread{'s' * (threads != 1)} on {usable:g} core{'s' * (usable != 1)}"
    if asked:
        said += f", as OMP_NUM_THREADS is {asked}"
    best = max(1, math.floor(usable))
    if asked and not all(part.strip().isdecimal() for part in asked.split(",")):
        advice = f"export OMP_NUM_THREADS={best}, or unset it"
        return Finding(WARNING, "threads", f"{said}, which is no number", advice)
    if threads > usable:
        # Each waits for all others at the end of every operation.
        advice = f"export OMP_NUM_THREADS={best}"
        return Finding(WARNING, "threads", f"{said}: they would get in each other's way", advice)
    if asked and threads < best:
        advice = "unset OMP_NUM_THREADS, unless other programs need those cores"
        return Finding(WARNING, "threads", f"{said}: the rest would be idle", advice)
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE" and _busy(usable):
        found = f"{said}; other programs keep {os.getloadavg()[0]:.1f} busy"
        return Finding(WARNING, "threads", found, "export OMP_WAIT_POLICY=PASSIVE")
    return Finding(OK, "threads", said)


def check_openmp() -> Finding:
    """OpenMP runtimes: copies of one kind take turns, two kinds in one process can deadlock."""
    loaded = [entry for entry in threadpool_info() if entry["user_api"] == "openmp"]
    kinds = Counter(entry["prefix"] for entry in loaded)
    owners = ", ".join(f"{entry['prefix']} of {_owner(entry['filepath'])}" for entry in loaded)
    if len(kinds) > 1:
        advice = "install all packages from PyPI or all from conda-forge, not from both"
        found = f"{owners}: runtimes of different kinds in one process can hang or crash"
        return Finding(WARNING, "OpenMP", found, advice)
    return Finding(OK, "OpenMP", owners or "none loaded")


def _busy(usable: float) -> bool:
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > usable / 2


def _owner(path: str) -> str:
    """The package that a library came with, or its path if with none."""
    _, inside, rest = path.partition("site-packages/")
    return rest.split("/")[0].removesuffix(".libs") if inside else path
