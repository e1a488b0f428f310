"""Fixtures that run every command once without interruption."""

import shutil
import time

import pytest
from file_bytes import content

from extract.sample import write_sample


@pytest.fixture(scope="session")
def commands(tmp_path_factory, tiny_weights):
    """Arguments of each command, in the order in which they run."""
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
def uninterrupted(forked_command, commands, tmp_path_factory):
    """Map each command to the folder before it, the files after it, how many seconds it took, the
    number of its file operations, and its network connections."""
    results, folder = {}, tmp_path_factory.mktemp("uninterrupted")
    for name, args in commands.items():
        before = shutil.copytree(folder, tmp_path_factory.mktemp("before") / name)
        start = time.monotonic()
        status, *counted = forked_command(folder, args)
        seconds = time.monotonic() - start
        assert status in (0, 1), (folder / "log.txt").read_text()
        results[name] = before, content(folder), seconds, *counted
    return results
