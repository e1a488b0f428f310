"""Whatever moment a command is killed at, the same command then ends with the same bytes.

Each command is killed again and again, at file operations and at times drawn from a seed, and goes
on from what the killed ones left, until it ends. `pytest --kills 60` kills more often.
"""

import shutil
import signal

import numpy as np
import pytest
from file_bytes import content


@pytest.mark.parametrize("name", ["extract", "fit-heads"])
def test_ctrl_c_says_how_to_go_on(name, forked_command, commands, undisturbed, tmp_path):
    before, expected, operations, _ = undisturbed[name]
    folder = shutil.copytree(before, tmp_path / "interrupted")
    stopped = {"operation": int(operations * 0.6), "sent": signal.SIGINT}
    assert forked_command(folder, commands[name], **stopped)[0] == 130
    last = (folder / "log.txt").read_text().splitlines()[-1]
    assert last.startswith("interrupted: no file is left half-written. The same command goes on")
    assert not [*folder.rglob("*.partial"), *folder.rglob("*.removed")]
    assert forked_command(folder, commands[name])[0] == 0
    assert content(folder) == expected


@pytest.mark.parametrize(
    ("name", "room"),
    [
        *(("extract", room) for room in (100, 30_000, 400_000)),
        *(("fit-heads", 5_000), ("submit", 2_000), ("check", 100), ("report", 5_000)),
        *(("predict", 400), ("sample", 1_000)),
    ],
)
def test_a_full_disk_is_named_and_nothing_is_lost(
    name, room, forked_command, commands, undisturbed, tmp_path
):
    before, expected, *_ = undisturbed[name]
    folder = shutil.copytree(before, tmp_path / "full")
    log = folder / "log.txt"
    log.unlink(missing_ok=True)
    status, *_ = forked_command(folder, commands[name], room=room)
    assert status == 2, log.read_text()
    assert "Traceback" not in log.read_text()
    assert forked_command(folder, commands[name])[0] in (0, 1)
    found = content(folder)
    assert [path for path in expected if found.get(path) != expected[path]] == []
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    "name", ["extract", "fit-heads", "submit", "check", "report", "predict", "sample"]
)
def test_a_command_that_is_killed_again_and_again_ends_with_the_same_bytes(
    name, forked_command, commands, undisturbed, tmp_path, pytestconfig
):
    before, expected, operations, _ = undisturbed[name]
    rng = np.random.default_rng(0)
    killed = rounds = 0
    while killed < pytestconfig.getoption("kills"):
        folder = shutil.copytree(before, tmp_path / f"round {rounds}")
        rounds += 1
        status = -9
        while status == -9:
            by_time = rng.random() < 0.3
            limits = {"seconds": rng.uniform(0.05, 2)} if by_time else {}
            if not by_time:
                limits["operation"] = int(rng.integers(1, operations + 1))
            status, *_ = forked_command(folder, commands[name], **limits)
            killed += status == -9
        assert status in (0, 1), (folder / "log.txt").read_text()
        found = content(folder)
        assert list(found) == list(expected)
        assert [path for path in found if found[path] != expected[path]] == []
        shutil.rmtree(folder)
