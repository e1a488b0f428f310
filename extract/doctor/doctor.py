"""All checks, those first that need no library: a broken one must not hide the rest."""

import dataclasses
from importlib import import_module
from pathlib import Path

from extract.config import ExtractConfig
from extract.doctor.check_versions import check_versions
from extract.doctor.finding import FAIL, OK, WARNING, Finding, print_findings
from runtime.lock import refuse_ranks
from runtime.settings import flag

COLUMNS = ("id_column", "image_column", "text_column", "label_column", "split_column")


def doctor(config: ExtractConfig, run: Path) -> bool:
    """Look at all that `extract` would need, print what was found; True if nothing would stop it.

    Writes nothing. Raises UserError if torchrun started several processes.
    """
    refuse_ranks()
    findings = examine(config, run)
    print_findings(findings)
    return all(finding.state != FAIL for finding in findings)


def examine(config: ExtractConfig, run: Path) -> list[Finding]:
    """Every check, whatever the others found."""
    findings = [check_settings(config), *check_versions()]
    try:
        beyond = import_module("extract.doctor.examine")
    except Exception as error:  # a broken library raises whatever it likes
        advice = "pip install --force-reinstall -r requirements.txt; nothing else was looked at"
        found = f"cannot be loaded: {type(error).__name__}: {error}"
        return [*findings, Finding(FAIL, "libraries", found, advice)]
    return findings + beyond.examine(config, run)


def check_settings(config: ExtractConfig) -> Finding:
    """Values that are not allowed never come here; flags without effect do."""
    idle = {
        "sample_memes": config.data is not None,
        "weights": bool(config.image_weights and config.text_weights),
        **dict.fromkeys(COLUMNS, config.data is None),
    }
    changed = [
        field.name
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    ]
    useless = [flag(name) for name in changed if idle.get(name)]
    if useless:
        found = f"{', '.join(useless)}: without effect beside the other flags"
        return Finding(WARNING, "settings", found, "leave it out, or what it contradicts")
    said = ", ".join(f"{flag(name)} {getattr(config, name)}" for name in changed)
    return Finding(OK, "settings", said or "all by default")
