"""Whatever moment a command is killed at, the same command then ends with the same bytes.

Each command is killed again and again, at file operations and at times drawn from a seed, and goes
on from what the killed ones left, until it ends. `pytest --kills 60` kills more often.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from extract.sample import write_sample

NURSERY = Path(__file__).with_name("nursery.py")
TRANSIENT = {"log.txt", ".r.lock", ".r.holder"}
"""Beside what a command makes: what it said, and who holds the run."""


@pytest.fixture(scope="module")
def nursery():
    """f(cwd, words, operation, seconds, room, sent) -> exit status, number of file operations."""
    # Threads do not survive a fork.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(NURSERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=alone,
    )

    def run(cwd, words, operation=None, seconds=None, room=None, sent=signal.SIGKILL):
        limits = {"operation": operation, "seconds": seconds, "room": room, "signal": sent}
        task = {"cwd": str(cwd), "words": words, **limits}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return answer["status"], answer["operations"]

    yield run
    process.stdin.close()
    process.wait()


@pytest.fixture(scope="module")
def commands(tmp_path_factory, tiny_weights):
    """Words of each command, in the order in which they follow each other."""
    data = write_sample(tmp_path_factory.mktemp("data") / "memes", memes=120)
    weights = [f"--{kind}-weights={tiny_weights / kind}" for kind in ("image", "text")]
    settings = ["--image-size=32", "--max-tokens=32", "--folds=2", "--epochs=2", "--device=cpu"]
    return {
        "extract": ["extract", "--run=r", f"--data={data}", *weights, *settings],
        "fit-heads": ["fit-heads", "--run=r", "--heads=linear,lightgbm"],
        "submit": ["submit", "--run=r"],
        "check": ["check", "--run=r"],
        "report": ["report", "--run=r"],
        "predict": ["predict", "--run=r", f"--data={data / 'test.csv'}", "--out=p.csv"],
        "sample": ["sample", "--out=s", "--memes=120"],
    }


@pytest.fixture(scope="module")
def undisturbed(nursery, commands, tmp_path_factory):
    """Folder before each command, what it holds after it, and its number of file operations."""
    made, folder = {}, tmp_path_factory.mktemp("undisturbed")
    for name, words in commands.items():
        before = shutil.copytree(folder, tmp_path_factory.mktemp("before") / name)
        status, operations = nursery(folder, words)
        assert status in (0, 1), (folder / "log.txt").read_text()
        made[name] = before, content(folder), operations
    return made


def content(folder):
    """Bytes of every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b".")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TRANSIENT
    }


@pytest.mark.parametrize("name", ["extract", "fit-heads"])
def test_ctrl_c_says_how_to_go_on(name, nursery, commands, undisturbed, tmp_path):
    before, expected, operations = undisturbed[name]
    folder = shutil.copytree(before, tmp_path / "interrupted")
    stopped = {"operation": int(operations * 0.6), "sent": signal.SIGINT}
    assert nursery(folder, commands[name], **stopped)[0] == 130
    last = (folder / "log.txt").read_text().splitlines()[-1]
    assert last.startswith("interrupted: no file is left half-written. The same command goes on")
    assert not [*folder.rglob("*.partial"), *folder.rglob("*.removed")]
    assert nursery(folder, commands[name])[0] == 0
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
    name, room, nursery, commands, undisturbed, tmp_path
):
    before, expected, _ = undisturbed[name]
    folder = shutil.copytree(before, tmp_path / "full")
    log = folder / "log.txt"
    log.unlink(missing_ok=True)
    status, _ = nursery(folder, commands[name], room=room)
    assert status == 2, log.read_text()
    assert "Traceback" not in log.read_text()
    assert nursery(folder, commands[name])[0] in (0, 1)
    found = content(folder)
    assert [path for path in expected if found.get(path) != expected[path]] == []
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    "name", ["extract", "fit-heads", "submit", "check", "report", "predict", "sample"]
)
def test_a_command_that_is_killed_again_and_again_ends_with_the_same_bytes(
    name, nursery, commands, undisturbed, tmp_path, pytestconfig
):
    before, expected, operations = undisturbed[name]
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
            status, _ = nursery(folder, commands[name], **limits)
            killed += status == -9
        assert status in (0, 1), (folder / "log.txt").read_text()
        found = content(folder)
        assert list(found) == list(expected)
        assert [path for path in found if found[path] != expected[path]] == []
        shutil.rmtree(folder)
