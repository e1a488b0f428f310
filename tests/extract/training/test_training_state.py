"""A run that breaks off is taken up where it stopped, and ends as if nothing had happened."""

import json
import shutil
from dataclasses import replace

import pytest

from extract import run as stage
from extract.run import extract
from extract.spaces import dump_embeddings, fine_tuned
from extract.training import training_loop as finetune
from extract.training import training_state as training
from runtime.json_files import read_json, write_json


@pytest.fixture
def counted(monkeypatch):
    """One entry for each training that is begun."""
    begun, finetune = [], fine_tuned.finetune

    def count(*args):
        begun.append(args[-1])
        return finetune(*args)

    monkeypatch.setattr(fine_tuned, "finetune", count)
    return begun


def break_off(monkeypatch, module, name, calls):
    """Interrupt the function when it is called once more than `calls` times."""
    plain, made = getattr(module, name), []

    def broken(*args, **kwargs):
        made.append(name)
        if len(made) > calls:
            raise KeyboardInterrupt
        return plain(*args, **kwargs)

    monkeypatch.setattr(module, name, broken)


BREAKS = {
    "after an epoch of the second fold": (finetune, "_end_epoch", 3, ["space_0"], 1),
    "training the second fold": (fine_tuned, "finetune", 1, ["space_0"], 1),
    "writing the second fold's towers": (dump_embeddings, "save_model", 1, ["space_0"], 1),
    "the pretrained space": (dump_embeddings, "embed", 2, ["space_0", "space_1"], 0),
    "joining": (stage, "join_spaces", 0, ["lexical", "pretrained", "space_0", "space_1"], 0),
}


EPOCH_FOUND = {
    "after an epoch of the second fold": "space_1.training: goes on after epoch 1,",
    "writing the second fold's towers": "space_1.training: goes on after epoch 2,",
}


@pytest.mark.parametrize("where", BREAKS)
def test_finished_spaces_are_kept_and_the_rest_gives_the_same_bytes(
    where, tiny_config, tiny_run, tmp_path, monkeypatch, counted, capsys
):
    run = tmp_path / "run"
    module, name, calls, finished, missing = BREAKS[where]
    monkeypatch.setattr(training, "SHARE", 1e9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, module, name, calls)
        extract(tiny_config, run)
    assert sorted(path.name for path in run.glob("unfinished/*/*/")) == finished
    assert not (run / "features.h5").exists()
    before = len(counted)
    features = extract(tiny_config, run)
    assert len(counted) - before == missing
    assert EPOCH_FOUND.get(where, "") in capsys.readouterr().err
    assert features.read_bytes() == (tiny_run / "features.h5").read_bytes()
    assert not (run / "unfinished").exists()
    assert not list(run.rglob("*.partial"))


@pytest.mark.usefixtures("trained")
def test_what_other_settings_left_unfinished_goes(tiny_config, tmp_path, monkeypatch):
    run, left = tmp_path / "run", []
    for epochs in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            break_off(patch, fine_tuned, "finetune", 1)
            extract(replace(tiny_config, epochs=epochs), run)
        left.append([path.relative_to(run) for path in run.glob("unfinished/*/*/")])
    assert [[path.name for path in paths] for paths in left] == [["space_0"], ["space_0"]]
    assert left[0] != left[1]


def test_an_unfinished_space_of_another_extraction_is_not_taken_up(
    tiny_config, tiny_run, tmp_path, trained
):
    stamp = json.loads((tiny_run / "data.json").read_text())["stamp"]
    folder = tmp_path / "run/unfinished" / stamp / "space_0"
    shutil.copytree(tiny_run / "backbones/space_0", folder)
    path = folder / "checkpoint.json"
    write_json(path, {**read_json(path, "extract"), "stamp": "another"})
    extract(tiny_config, tmp_path / "run")
    assert len(trained) == 2
