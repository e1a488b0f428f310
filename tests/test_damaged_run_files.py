"""Nothing that is loaded runs code, and a file that is damaged or was swapped is named."""

import io
import json
import pickle
import re
import shutil
from fnmatch import fnmatch

import numpy as np
import pytest
import torch

import pipeline
from runtime.json_files import read_json, write_json

ONE_MEME = ("predict", "--image", "meme.png", "--text", "love it")
READ_BY = {
    "features.h5": ("fit-heads",),
    "backbones/[!l]*/checkpoint.json": ONE_MEME,
    "backbones/*/image/config.json": ONE_MEME,
    "backbones/*/image/model.safetensors": ONE_MEME,
    "backbones/*/text/config.json": ONE_MEME,
    "backbones/*/text/model.safetensors": ONE_MEME,
    "backbones/*/text/tokenizer.json": ONE_MEME,
    "backbones/*/fusion.safetensors": ONE_MEME,
    "backbones/lexical/ngrams.json": ONE_MEME,
    "backbones/lexical/axes.npz": ONE_MEME,
    "heads/[!pit]*/*/weights.npz": ONE_MEME,
    "heads/interaction/*/weights.npz": ONE_MEME,
    "heads/mlp/*/weights.safetensors": ONE_MEME,
    "heads/lightgbm/*/trees.npz": ONE_MEME,
    "heads/knn/*/memes.npz": ONE_MEME,
    "heads/projections/*.npz": ONE_MEME,
    "heads/projections/*.npy": ("check",),
    "heads/projections/pretrained.npy": ("report",),
    "heads/projections/stamp.json": ("fit-heads",),
    "heads/parts.npz": ("submit",),
    "heads/*/probabilities.npz": ("report",),
    "heads/*/head.json": ("submit",),
    "heads/ensemble.npz": ("report",),
    "heads/ensemble.json": ONE_MEME,
    "metrics.json": ("submit",),
    "data.json": ("report",),
    "memes.jsonl": ("report",),
    "check.json": ("report",),
}
"""Files of a run, and a command that reads them."""

NEVER_READ = (
    *("config.json", "near_duplicates.csv", "predictions.csv", "report.*", "lock"),
    *("heads/*only/*/weights.npz", "backbones/lexical/checkpoint.json", "solution.json"),
)
"""Files for people; what is read the same way under another name; what only status reads, which
calls it stale."""


class Burglar:
    """Unpickled, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def as_pickle(burglar, content):
    return pickle.dumps(burglar)


def as_torch_file(burglar, content):
    file = io.BytesIO()
    torch.save({"weight": burglar}, file)
    return file.getvalue()


def as_array(burglar, content):
    file = io.BytesIO()
    np.save(file, np.array([burglar], dtype=object), allow_pickle=True)
    return file.getvalue()


def as_arrays(burglar, content):
    """Under the names that are asked for."""
    with np.load(io.BytesIO(content)) as arrays:
        names = arrays.files
    file = io.BytesIO()
    np.savez(file, **dict.fromkeys(names, np.array([burglar], dtype=object)))
    return file.getvalue()


def cut_off(burglar, content):
    return content[: len(content) // 2]


def one_bit_flipped(burglar, content):
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def as_text(burglar, content):
    """The first number, or else the first letter, is another."""
    changed = re.sub(rb": (-?[0-9][0-9.e-]*)", rb': "\1"', content, count=1)
    return changed if changed != content else content.replace(b"a", b"b", 1)


BAITS = {
    ".npz": (as_pickle, as_array, as_arrays, cut_off, one_bit_flipped),
    ".npy": (as_pickle, as_array, cut_off, one_bit_flipped),
    ".safetensors": (as_pickle, as_torch_file, cut_off, one_bit_flipped),
    ".h5": (as_pickle, cut_off),
    ".json": (as_pickle, cut_off, one_bit_flipped, as_text),
    ".jsonl": (as_pickle, cut_off),
}
CASES = [
    pytest.param(pattern, bait, id=f"{pattern} {bait.__name__}")
    for pattern in READ_BY
    for bait in BAITS["." + pattern.rsplit(".", 1)[1]]
]


def run_command(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pipeline.py", *map(str, arguments)])
        return pipeline.main()


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_run, tiny_sample):
    """A folder with a finished run, all of whose members the ensemble listens to."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(tiny_run, folder / "runs" / "r")
    shutil.copy(next(tiny_sample.glob("img/*")), folder / "meme.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("fit-heads", "submit", "check", "report"):
            assert run_command(name, "--run", "r") in (0, 1)
    path = folder / "runs/r/heads/ensemble.json"
    ensemble = read_json(path, "submit")
    ensemble["weights"] = dict.fromkeys(ensemble["weights"], 0.1)
    write_json(path, ensemble)
    return folder


@pytest.fixture
def run(place, monkeypatch):
    monkeypatch.chdir(place)
    return place / "runs" / "r"


def files_of(run):
    return sorted(path for path in run.rglob("*") if path.is_file())


@pytest.fixture
def marker(tmp_path):
    """What a burglar leaves."""
    return tmp_path / "broken in"


def test_every_file_of_a_run_is_tried_below(run):
    names = [str(path.relative_to(run)) for path in files_of(run)]
    patterns = (*READ_BY, *NEVER_READ)
    assert not [name for name in names if not any(fnmatch(name, p) for p in patterns)]
    assert not [p for p in READ_BY if not any(fnmatch(name, p) for name in names)]


@pytest.mark.parametrize(("pattern", "bait"), CASES)
def test_a_swapped_or_damaged_file_is_named_and_runs_nothing(run, marker, capfd, pattern, bait):
    path = next(p for p in files_of(run) if fnmatch(str(p.relative_to(run)), pattern))
    good = path.read_bytes()
    path.write_bytes(bait(Burglar(marker), good))
    try:
        code = run_command(*READ_BY[pattern], "--run", "r")
    finally:
        path.write_bytes(good)
    said = capfd.readouterr().err
    assert code == 2, said
    assert path.name in said and "python pipeline.py" in said, said
    assert not marker.exists()


@pytest.mark.parametrize("tower", ["image", "text"])
def test_weights_that_are_a_pickle_are_not_taken_for_safetensors(
    place, marker, tiny_weights, tiny_sample, tmp_path, capfd, tower
):
    folder = shutil.copytree(tiny_weights / tower, tmp_path / "weights")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(as_torch_file(Burglar(marker), b""))
    weights = {name: tiny_weights / name for name in ("image", "text")} | {tower: folder}
    flags = [word for name in weights for word in (f"--{name}-weights", weights[name])]
    assert run_command("extract", "--run", "other", "--data", tiny_sample, *flags) == 2
    said = capfd.readouterr().err
    assert "lacks model.safetensors" in said and "pytorch_model.bin" in said
    assert not marker.exists()


def test_code_that_a_text_models_config_names_is_neither_run_nor_offered(
    run, marker, monkeypatch, capfd
):
    folder = next(run.glob("backbones/space_*/text"))
    good = (folder / "config.json").read_bytes()
    code = f"open({str(marker)!r}, 'w')\nclass Config: ...\nclass Model: ...\n"
    (folder / "burglar.py").write_text(code)
    theirs = {"AutoConfig": "burglar.Config", "AutoModel": "burglar.Model"}
    config = {**json.loads(good), "model_type": "burglar", "auto_map": theirs}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    try:
        assert run_command(*ONE_MEME, "--run", "r") == 2
    finally:
        (folder / "config.json").write_bytes(good)
        (folder / "burglar.py").unlink()
    assert "config.json" in capfd.readouterr().err
    assert not marker.exists()
