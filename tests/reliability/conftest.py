"""Every command run once undisturbed, in children of one process that has imported everything."""

import shutil

import pytest
from file_bytes import content

from extract.sample import write_sample


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
def undisturbed(forked_command, commands, tmp_path_factory):
    """Of each command: the folder before it, what that holds after it, the number of its file
    operations, and what it said to other machines."""
    made, folder = {}, tmp_path_factory.mktemp("undisturbed")
    for name, words in commands.items():
        before = shutil.copytree(folder, tmp_path_factory.mktemp("before") / name)
        status, *known = forked_command(folder, words)
        assert status in (0, 1), (folder / "log.txt").read_text()
        made[name] = before, content(folder), *known
    return made
