"""Run all checks and print their findings.

Checks that need no libraries come first, so that a broken library does not hide their findings.
"""

import dataclasses
from importlib import import_module
from pathlib import Path

from extract.config import ExtractConfig
from extract.doctor.check_versions import check_versions
from extract.doctor.finding import FAIL, OK, WARNING, Finding, print_findings
from runtime.config_fields import flag
from runtime.lock import require_single_process

COLUMN_SETTINGS = (
    *("id_column", "image_column", "text_column", "label_column", "split_column"),
    "group_column",
)


def doctor(config: ExtractConfig, run: Path) -> bool:
    """Check everything that `extract` needs and print the findings; return True if none failed.

    Writes nothing. Raises UserError if torchrun started several processes.
    """
    require_single_process()
    findings = run_checks(config, run)
    print_findings(findings)
    return all(finding.state != FAIL for finding in findings)


def run_checks(config: ExtractConfig, run: Path) -> list[Finding]:
    """Run every check. A failed check does not end the others."""
    findings = [check_settings(config), *check_versions()]
    try:
        module = import_module("extract.doctor.checks_needing_libraries")
    except Exception as error:  # a broken library can raise any exception
        advice = "pip install --force-reinstall -r requirements.txt; nothing else was checked"
        found = f"cannot be loaded: {type(error).__name__}: {error}"
        return [*findings, Finding(FAIL, "libraries", found, advice)]
    return findings + module.run_checks_needing_libraries(config, run)


def check_settings(config: ExtractConfig) -> Finding:
    """Check for flags without effect. Values that are not allowed are rejected earlier."""
    without_effect = {
        "sample_memes": config.data is not None,
        "weights": bool(config.image_weights and config.text_weights),
        **dict.fromkeys(COLUMN_SETTINGS, config.data is None),
    }
    changed = [
        field.name
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != field.default
    ]
    useless = [flag(name) for name in changed if without_effect.get(name)]
    if useless:
        found = f"{', '.join(useless)}: no effect in combination with the other flags"
        advice = "leave it out, or the flag that makes it useless"
        return Finding(WARNING, "settings", found, advice)
    found = ", ".join(f"{flag(name)} {getattr(config, name)}" for name in changed)
    return Finding(OK, "settings", found or "all at their defaults")
