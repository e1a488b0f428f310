"""What a check found, and the table of all."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from runtime.console import results_console

OK, WARNING, FAIL = "ok", "warning", "FAIL"

STYLES = {OK: "green", WARNING: "yellow", FAIL: "red bold"}


@dataclass(frozen=True)
class Finding:
    """One check: FAIL is what would end a run, a warning what may spoil or slow it."""

    state: str
    name: str
    found: str
    advice: str = ""
    """What to do, if `found` does not say so."""


def print_findings(findings: list[Finding]) -> None:
    """One row a check, to stdout."""
    console = results_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for finding in findings:
        lines = finding.found + (f"\n→ {finding.advice}" if finding.advice else "")
        style = STYLES[finding.state]
        # Text, as file names and captions may hold what looks like markup.
        table.add_row(Text(finding.state, style), Text(finding.name, "bold"), Text(lines))
    console.print(table)
    states = [finding.state for finding in findings]
    fails, warnings = states.count(FAIL), states.count(WARNING)
    verdict = "extract would stop" if fails else "nothing stands in the way"
    counted = f"checks: {len(states)}, failed: {fails}, warnings: {warnings}"
    console.print(f"{counted}: {verdict}", style="bold")
