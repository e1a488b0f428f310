"""docs/dependencies.md lists what requirements.txt installs."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_first_table_lists_exactly_the_pinned_versions():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = [line.partition("#")[0].strip() for line in lines]
    pins = [tuple(re.split("={2,3}", line)) for line in required if line]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    direct = page.partition("## Direct")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in direct.splitlines()]
    rows = [row for row in rows if row][2:]
    assert [tuple(row[:2]) for row in rows] == pins
    assert all(all(row) for row in rows), "a cell is empty"
