"""Every command run once undisturbed, in children of one process that has imported everything."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bytes_of import content

from extract.sample import write_sample

NURSERY = Path(__file__).with_name("nursery.py")


@pytest.fixture(scope="session")
def nursery():
    """f(cwd, words, operation, seconds, room, sent) -> exit status, number of file operations, and
    what was said to other machines."""
    # Threads do not survive a fork.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    allowed = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    process = subprocess.Popen(
        [sys.executable, str(NURSERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=allowed | alone,
    )

    def run(cwd, words, operation=None, seconds=None, room=None, sent=signal.SIGKILL):
        limits = {"operation": operation, "seconds": seconds, "room": room, "signal": sent}
        task = {"cwd": str(cwd), "words": words, **limits}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return answer["status"], answer["operations"], answer["spoken"]

    yield run
    process.stdin.close()
    process.wait()


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def undisturbed(nursery, commands, tmp_path_factory):
    """Of each command: the folder before it, what that holds after it, the number of its file
    operations, and what it said to other machines."""
    made, folder = {}, tmp_path_factory.mktemp("undisturbed")
    for name, words in commands.items():
        before = shutil.copytree(folder, tmp_path_factory.mktemp("before") / name)
        status, *known = nursery(folder, words)
        assert status in (0, 1), (folder / "log.txt").read_text()
        made[name] = before, content(folder), *known
    return made
