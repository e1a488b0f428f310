"""The finding of a check, and the table of all findings that is printed."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from runtime.console import results_console

OK, WARNING, FAIL = "ok", "warning", "FAIL"

STYLES = {OK: "green", WARNING: "yellow", FAIL: "red bold"}


@dataclass(frozen=True)
class Finding:
    """The result of one check. FAIL: a run would stop. WARNING: it may be slow or do badly."""

    state: str
    name: str
    found: str
    advice: str = ""
    """What to do, if `found` does not say so."""


def print_findings(findings: list[Finding]) -> None:
    """Print one row per finding, and a summary, to stdout."""
    console = results_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for finding in findings:
        lines = finding.found + (f"\n→ {finding.advice}" if finding.advice else "")
        style = STYLES[finding.state]
        # Text, because file names and captions may contain what looks like markup.
        table.add_row(Text(finding.state, style), Text(finding.name, "bold"), Text(lines))
    console.print(table)
    states = [finding.state for finding in findings]
    fails, warnings = states.count(FAIL), states.count(WARNING)
    verdict = "extract would stop" if fails else "nothing would stop extract"
    counts = f"checks: {len(states)}, failed: {fails}, warnings: {warnings}"
    console.print(f"{counts}: {verdict}", style="bold")
