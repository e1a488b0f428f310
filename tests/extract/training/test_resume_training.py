"""An interrupted run resumes where it stopped and gives the same bytes as an uninterrupted one."""

import json
import shutil
from dataclasses import replace

import pytest

from extract import run as run_module
from extract.run import extract
from extract.spaces import dump_embeddings, fine_tuned
from extract.training import resume_training, training_loop
from runtime.files.json_files import read_json, write_json


@pytest.fixture
def started_trainings(monkeypatch):
    """A list with one entry for each training that is started."""
    started, finetune = [], fine_tuned.finetune

    def count(*args):
        started.append(args[-1])
        return finetune(*args)

    monkeypatch.setattr(fine_tuned, "finetune", count)
    return started


def interrupt_after(monkeypatch, module, name, calls):
    """Let the function `name` run `calls` times; then it raises KeyboardInterrupt."""
    function, called = getattr(module, name), []

    def interrupted(*args, **kwargs):
        called.append(name)
        if len(called) > calls:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, interrupted)


INTERRUPTIONS = {
    "after an epoch of the second fold": (training_loop, "_end_epoch", 3, ["space_0"], 1),
    "training the second fold": (fine_tuned, "finetune", 1, ["space_0"], 1),
    "writing the second fold's towers": (dump_embeddings, "save_model", 1, ["space_0"], 1),
    "the pretrained space": (dump_embeddings, "embed", 2, ["space_0", "space_1"], 0),
    "joining": (run_module, "join_spaces", 0, ["lexical", "pretrained", "space_0", "space_1"], 0),
}


RESUMED = {
    "after an epoch of the second fold": "space_1.training: resuming after epoch 1,",
    "writing the second fold's towers": "space_1.training: resuming after epoch 2,",
}


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_finished_spaces_are_reused_and_the_result_has_the_same_bytes(
    where, tiny_config, tiny_run, tmp_path, monkeypatch, started_trainings, capsys
):
    run = tmp_path / "run"
    module, name, calls, finished, missing = INTERRUPTIONS[where]
    monkeypatch.setattr(resume_training, "MAX_SAVE_TIME_SHARE", 1e9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, module, name, calls)
        extract(tiny_config, run)
    assert sorted(path.name for path in run.glob("unfinished/*/*/")) == finished
    assert not (run / "features.h5").exists()
    before = len(started_trainings)
    features = extract(tiny_config, run)
    assert len(started_trainings) - before == missing
    assert RESUMED.get(where, "") in capsys.readouterr().err
    assert features.read_bytes() == (tiny_run / "features.h5").read_bytes()
    assert not (run / "unfinished").exists()
    assert not list(run.rglob("*.partial"))


@pytest.mark.usefixtures("fake_training")
def test_unfinished_spaces_of_other_settings_are_deleted(tiny_config, tmp_path, monkeypatch):
    run, unfinished = tmp_path / "run", []
    for epochs in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_after(patch, fine_tuned, "finetune", 1)
            extract(replace(tiny_config, epochs=epochs), run)
        unfinished.append([path.relative_to(run) for path in run.glob("unfinished/*/*/")])
    assert [[path.name for path in paths] for paths in unfinished] == [["space_0"], ["space_0"]]
    assert unfinished[0] != unfinished[1]


def test_finished_space_of_another_extraction_is_not_reused(
    tiny_config, tiny_run, tmp_path, fake_training
):
    stamp = json.loads((tiny_run / "data.json").read_text())["stamp"]
    folder = tmp_path / "run/unfinished" / stamp / "space_0"
    shutil.copytree(tiny_run / "backbones/space_0", folder)
    path = folder / "checkpoint.json"
    write_json(path, {**read_json(path, "extract"), "stamp": "another"})
    extract(tiny_config, tmp_path / "run")
    assert len(fake_training) == 2
