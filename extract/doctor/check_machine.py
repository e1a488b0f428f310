"""Check the device, the number of threads and the OpenMP libraries."""

import math
import os
from collections import Counter
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from extract.doctor.cpu_and_memory import usable_cores
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.towers.device import Machine, choose_machine
from runtime.errors import UserError

NVIDIA_DRIVER = Path("/dev/nvidiactl")
"""Exists if the driver of an NVIDIA GPU is loaded."""


def check_device(device: str, precision: str) -> tuple[Machine | None, Finding]:
    """Check the device and the precision; return them, or None if they cannot be used."""
    try:
        machine = choose_machine(device, precision)
    except UserError as error:
        return None, Finding(FAIL, "device", str(error))
    description = machine.describe()
    on_cpu = machine.device.type == "cpu"
    if on_cpu and device == "auto" and NVIDIA_DRIVER.exists():
        reason = "finds no usable one" if torch.backends.cuda.is_built() else "is a CPU-only build"
        found = f"{description}: there is an NVIDIA GPU, but torch {torch.__version__} {reason}"
        advice = "check that nvidia-smi lists it, and run: pip install -r requirements.txt"
        return machine, Finding(WARNING, "device", found, advice)
    if on_cpu and precision == "bf16" and not torch.cpu._is_avx512_bf16_supported():
        found = f"{description}: this CPU computes bf16 slower than fp32"
        return machine, Finding(WARNING, "device", found, "--precision auto")
    return machine, Finding(OK, "device", description)


def check_threads() -> Finding:
    """Check that there are as many threads as cores, and that other programs leave them free."""
    setting = os.environ.get("OMP_NUM_THREADS")
    threads, cores = torch.get_num_threads(), usable_cores()
    found = f"{threads} thread{'s' * (threads != 1)} on {cores:g} core{'s' * (cores != 1)}"
    if setting:
        found += f", because OMP_NUM_THREADS is {setting}"
    best = max(1, math.floor(cores))
    if setting and not all(part.strip().isdecimal() for part in setting.split(",")):
        advice = f"export OMP_NUM_THREADS={best}, or unset it"
        return Finding(WARNING, "threads", f"{found}, which is not a number", advice)
    if threads > cores:
        # At the end of every operation, each thread waits for all others.
        advice = f"export OMP_NUM_THREADS={best}"
        return Finding(WARNING, "threads", f"{found}: they slow each other down", advice)
    if setting and threads < best:
        advice = "unset OMP_NUM_THREADS, unless other programs need those cores"
        return Finding(WARNING, "threads", f"{found}: the other cores would be idle", advice)
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE" and _cores_busy(cores):
        found += f"; other programs use {os.getloadavg()[0]:.1f} of them"
        return Finding(WARNING, "threads", found, "export OMP_WAIT_POLICY=PASSIVE")
    return Finding(OK, "threads", found)


def check_openmp() -> Finding:
    """Check for OpenMP runtimes of different kinds, which can deadlock in one process."""
    loaded = [entry for entry in threadpool_info() if entry["user_api"] == "openmp"]
    kinds = Counter(entry["prefix"] for entry in loaded)
    listed = ", ".join(f"{entry['prefix']} of {_package(entry['filepath'])}" for entry in loaded)
    if len(kinds) > 1:
        advice = "install all packages from PyPI or all from conda-forge, not from both"
        found = f"{listed}: runtimes of different kinds in one process can hang or crash"
        return Finding(WARNING, "OpenMP", found, advice)
    return Finding(OK, "OpenMP", listed or "none loaded")


def _cores_busy(cores: float) -> bool:
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > cores / 2


def _package(path: str) -> str:
    """Return the package that a library was installed with, or else its path."""
    _, in_package, rest = path.partition("site-packages/")
    return rest.split("/")[0].removesuffix(".libs") if in_package else path
