"""Killed and interrupted commands, and a full disk: a rerun writes the same bytes.

Each command is killed repeatedly, at random file operations and times, and run again until it
finishes. `pytest --kills 60` kills it more often.
"""

import shutil
import signal

import numpy as np
import pytest
from file_bytes import content

KILLS_IN_A_ROW = 4
"""Then a command may finish: one that takes longer than the kills are apart would never."""


@pytest.mark.parametrize("name", ["extract", "fit-heads"])
def test_ctrl_c_prints_how_to_resume(name, forked_command, commands, uninterrupted, tmp_path):
    before, expected, _, operations, _ = uninterrupted[name]
    folder = shutil.copytree(before, tmp_path / "interrupted")
    interruption = {"operation": int(operations * 0.6), "sent": signal.SIGINT}
    assert forked_command(folder, commands[name], **interruption)[0] == 130
    last = (folder / "log.txt").read_text().splitlines()[-1]
    assert last.startswith("interrupted: no file is left half-written. Run the same command again")
    assert not [*folder.rglob("*.partial"), *folder.rglob("*.removed")]
    assert forked_command(folder, commands[name])[0] == 0
    assert content(folder) == expected


@pytest.mark.parametrize(
    ("name", "max_file_bytes"),
    [
        *(("extract", count) for count in (100, 30_000, 400_000)),
        *(("fit-heads", 5_000), ("submit", 2_000), ("check", 100), ("report", 5_000)),
        *(("predict", 400), ("sample", 1_000)),
    ],
)
def test_full_disk_ends_in_a_message_and_a_rerun_succeeds(
    name, max_file_bytes, forked_command, commands, uninterrupted, tmp_path
):
    before, expected, *_ = uninterrupted[name]
    folder = shutil.copytree(before, tmp_path / "full")
    log = folder / "log.txt"
    log.unlink(missing_ok=True)
    status, *_ = forked_command(folder, commands[name], max_file_bytes=max_file_bytes)
    assert status == 2, log.read_text()
    assert "Traceback" not in log.read_text()
    assert forked_command(folder, commands[name])[0] in (0, 1)
    found = content(folder)
    assert [path for path in expected if found.get(path) != expected[path]] == []
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    "name", ["extract", "fit-heads", "submit", "check", "report", "predict", "sample"]
)
def test_command_killed_repeatedly_writes_the_same_bytes(
    name, forked_command, commands, uninterrupted, tmp_path, pytestconfig
):
    before, expected, seconds, operations, _ = uninterrupted[name]
    rng = np.random.default_rng(0)
    killed = rounds = 0
    while killed < pytestconfig.getoption("kills"):
        folder = shutil.copytree(before, tmp_path / f"round {rounds}")
        rounds += 1
        for attempt in range(KILLS_IN_A_ROW + 1):
            by_time = rng.random() < 0.3
            limits = {"seconds": rng.uniform(0, seconds)} if by_time else {}
            if not by_time:
                limits["operation"] = int(rng.integers(1, operations + 1))
            if attempt == KILLS_IN_A_ROW:
                limits = {}
            status, *_ = forked_command(folder, commands[name], **limits)
            killed += status == -9
            if status != -9:
                break
        assert status in (0, 1), (folder / "log.txt").read_text()
        found = content(folder)
        assert list(found) == list(expected)
        assert [path for path in found if found[path] != expected[path]] == []
        shutil.rmtree(folder)
