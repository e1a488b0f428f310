"""Many processes score shards as one does: the same bytes, also if one of them is killed."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import polars
import psutil
import pytest

from runtime.errors import UserError
from serve.config import PredictConfig
from serve.shards import ray_engine
from serve.shards.ray_engine import make_worker, score_with_ray
from serve.shards.score_shard import Outcome
from serve.shards.shard_list import list_shards

PIPELINE = Path(__file__).parents[3] / "pipeline.py"

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs requirements-scale.txt")


@pytest.fixture
def config(shards, tmp_path):
    return PredictConfig(data=str(shards), out=str(tmp_path / "ray"), device="cpu", engine="ray")


@pytest.fixture
def listed(config):
    return list_shards(Path(config.data), Path(config.out))


@pytest.fixture
def answered(monkeypatch):
    """f(*outcomes): let Ray give these answers."""

    def set_answers(*outcomes):
        answers = [json.dumps(outcome._asdict()) for outcome in outcomes]
        monkeypatch.setattr(ray_engine, "answers_of_workers", lambda *a, **k: iter(answers))

    return set_answers


def test_shard_without_an_answer_is_named(config, listed, answered):
    answered(Outcome("c.parquet", 5), Outcome("a.csv", 7))
    outcomes = list(score_with_ray(config, Path("run"), listed, {}))
    assert [one.shard for one in outcomes] == ["c.parquet", "a.csv", "b.jsonl"]
    assert outcomes[2].failure.startswith("Ray lost it")


def test_worker_that_cannot_load_the_run_ends_the_command(config, listed, answered, tmp_path):
    answer = json.loads(make_worker(config, tmp_path / "gone", listed, {})(0))
    answered(Outcome("a.csv", 7), Outcome(**answer))
    with pytest.raises(UserError, match=r"cannot load .*gone: UserError: .* has no backbones"):
        list(score_with_ray(config, Path("run"), listed, {}))


def kill_worker(command, out):
    """Kill a process in the middle of a shard, once there are results of another."""
    while not list(out.glob("*.csv")) and command.poll() is None:
        time.sleep(0.05)
    while command.poll() is None:
        for process in psutil.Process(command.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(file.path.endswith(".partial") for file in process.open_files()):
                    process.kill()
                    return


def results(folder):
    """The content of each of the 11 files."""
    found = {path.name: path.read_bytes() for path in Path(folder).glob("[!.]*")}
    assert len(found) == 11
    return found


@pytest.fixture
def start(scored_run, tmp_path):
    """f(**settings): start predict as a process of its own.

    Tests embed in other batches, which need not give the same bits.
    """
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "tiny").symlink_to(scored_run)

    def run(**settings):
        flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        return subprocess.Popen(
            [sys.executable, str(PIPELINE), "predict", "--run", "tiny", *flags],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@needs_ray
def test_killed_worker_and_broken_shard_lose_nothing(shards, start, tmp_path):
    memes = polars.read_csv(shards / "a.csv", infer_schema=False)
    for number in range(8):
        memes.write_csv(shards / f"{number}.csv")
    whole = (shards / "b.jsonl").read_bytes()
    (shards / "b.jsonl").write_text("{")
    many, one = tmp_path / "many", tmp_path / "one"
    command = start(data=shards, out=many, device="cpu", engine="ray", workers=2)
    kill_worker(command, many)
    out, err = command.communicate(timeout=200)
    assert (command.returncode, out) == (2, "")
    assert "error: 1 of 11 shards failed:\n  b.jsonl: no row can be read" in err
    assert "this is attempt 2: the process of the one before died" in err
    assert sorted(path.suffix for path in (many / ".memefuse").iterdir()) == [".json"] * 10
    (shards / "b.jsonl").write_bytes(whole)
    for folder in (many, one):
        assert start(data=shards, out=folder, device="cpu").wait(timeout=100) == 0
    assert results(many) == results(one)
