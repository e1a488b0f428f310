"""Check the versions of Python and of the libraries against requirements.txt."""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from extract.doctor.finding import FAIL, OK, WARNING, Finding

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"

TEST_TOOLS = ("hypothesis", "pytest", "ruff")
"""In requirements.txt too, but no run needs them."""

MIN_PYTHON = (3, 11)

LISTED = ("torch", "torchvision", "timm", "transformers", "numpy", "lightgbm")


def check_versions() -> list[Finding]:
    """Check for missing libraries, other versions, and a torchvision built for another torch."""
    requirements = re.findall(r"^([\w.-]+)={2,3}([^\s#]+)", REQUIREMENTS.read_text(), re.MULTILINE)
    pinned = {name: wanted for name, wanted in requirements if name not in TEST_TOOLS}
    installed = {name: installed_version(name) for name in pinned}
    missing = [name for name, here in installed.items() if here is None]
    other = [
        f"{name} {here} (tested with {pinned[name]})"
        for name, here in installed.items()
        if here and here.split("+")[0] != pinned[name]
    ]
    python = ".".join(map(str, sys.version_info[:3]))
    findings = []
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        findings.append(Finding(FAIL, "python", f"{python}, needed {wanted} or later"))
    install = f"pip install -r {REQUIREMENTS.name}"
    if missing:
        findings.append(Finding(FAIL, "versions", f"not installed: {', '.join(missing)}", install))
    if other:
        findings.append(Finding(WARNING, "versions", ", ".join(other), install))
    if not findings:
        listed = ", ".join(f"{name} {installed[name]}" for name in LISTED)
        findings.append(Finding(OK, "versions", f"python {python}, {listed}: all as tested"))
    return findings + _check_torchvision(installed["torch"], installed["torchvision"])


def installed_version(name: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_torchvision(torch: str | None, torchvision: str | None) -> list[Finding]:
    """Check that torchvision requires the installed torch: its operators fit no other."""
    if not (torch and torchvision):
        return []
    requirements = "\n".join(requires("torchvision") or [])
    wanted = re.search(r"^torch\b\W*==([\d.]+)", requirements, re.MULTILINE)
    if not wanted or torch.split("+")[0] == wanted[1]:
        return []
    found = f"{torchvision} is for torch {wanted[1]}, but torch is {torch}"
    return [Finding(FAIL, "torchvision", found, f"pip install torch=={wanted[1]}")]
