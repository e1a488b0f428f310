"""Versions of Python and of the libraries, against those that requirements.txt names."""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from extract.doctor.finding import FAIL, OK, WARNING, Finding

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"

TESTING = ("hypothesis", "pytest", "ruff")
"""Named there too, but no run needs them."""

PYTHON = (3, 11)

SHOWN = ("torch", "torchvision", "timm", "transformers", "numpy", "lightgbm")


def check_versions() -> list[Finding]:
    """Libraries that are missing or of another version, and a torchvision for another torch."""
    pinned = re.findall(r"^([\w.-]+)={2,3}([^\s#]+)", REQUIREMENTS.read_text(), re.MULTILINE)
    pins = {name: wanted for name, wanted in pinned if name not in TESTING}
    found = {name: installed(name) for name in pins}
    missing = [name for name, here in found.items() if here is None]
    other = [
        f"{name} {here} (tested with {pins[name]})"
        for name, here in found.items()
        if here and here.split("+")[0] != pins[name]
    ]
    python = ".".join(map(str, sys.version_info[:3]))
    findings = []
    if sys.version_info < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        findings.append(Finding(FAIL, "python", f"{python}, needed {wanted} or later"))
    install = f"pip install -r {REQUIREMENTS.name}"
    if missing:
        findings.append(Finding(FAIL, "versions", f"not installed: {', '.join(missing)}", install))
    if other:
        findings.append(Finding(WARNING, "versions", ", ".join(other), install))
    if not findings:
        said = ", ".join(f"{name} {found[name]}" for name in SHOWN)
        findings.append(Finding(OK, "versions", f"python {python}, {said}: all as tested"))
    return findings + _torchvision(found["torch"], found["torchvision"])


def installed(name: str) -> str | None:
    """The version of a package, None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torchvision(torch: str | None, torchvision: str | None) -> list[Finding]:
    """Its operators fit one torch alone, which it names."""
    if not (torch and torchvision):
        return []
    needed = "\n".join(requires("torchvision") or [])
    wanted = re.search(r"^torch\b\W*==([\d.]+)", needed, re.MULTILINE)
    if not wanted or torch.split("+")[0] == wanted[1]:
        return []
    found = f"{torchvision} is for torch {wanted[1]}, and torch is {torch}"
    return [Finding(FAIL, "torchvision", found, f"pip install torch=={wanted[1]}")]
