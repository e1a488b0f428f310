"""Damaged or malicious files of a run: loading them runs no code, and the error names them."""

import io
import json
import pickle
import re
import shutil
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from quick_heads import apply_quick_settings, skip_plots

from extract.training import embedding
from heads.align import AlignHead
from heads.mlp import MlpHead
from heads.registry import HEADS
from runtime.files.json_files import read_json, write_json

ONE_MEME = ("predict", "--image", "meme.png", "--text", "love it")
TABLE = ("predict", "--data", "memes.csv")
HEAD_FILES = [
    f"heads/{name}/*/*{'.safetensors' if name in ('mlp', 'align') else '.npz'}" for name in HEADS
]
"""What each head saves of a fit."""
READ_BY = {
    "features.h5": ("fit-heads",),
    "backbones/[!l]*/checkpoint.json": ONE_MEME,
    "backbones/*/image/config.json": ONE_MEME,
    "backbones/*/image/model.safetensors": ONE_MEME,
    "backbones/*/text/config.json": ONE_MEME,
    "backbones/*/text/model.safetensors": ONE_MEME,
    "backbones/*/text/tokenizer.json": ONE_MEME,
    "backbones/*/text/tokenizer_config.json": ONE_MEME,
    "backbones/*/fusion.safetensors": ONE_MEME,
    "backbones/lexical/ngrams.json": ONE_MEME,
    "backbones/lexical/axes.npz": ONE_MEME,
    **dict.fromkeys(HEAD_FILES, ONE_MEME),
    "heads/projections/*.npz": ONE_MEME,
    "heads/projections/*.npy": ("check",),
    "heads/projections/pretrained.npy": ("report",),
    "heads/projections/stamp.json": ("fit-heads",),
    "heads/parts.npz": ("submit",),
    "heads/*/probabilities.npz": ("report",),
    "heads/*/head.json": ("submit",),
    "heads/ensemble.npz": ("report",),
    "heads/without_fine_tuning.npz": ("report",),
    "heads/ensemble.json": ONE_MEME,
    "heads/drift.npz": TABLE,
    "metrics.json": ("submit",),
    "data.json": ("report",),
    "memes.jsonl": ("report",),
    "check.json": ("report",),
}
"""Patterns of files of a run, and a command that reads them."""

NEVER_READ = (
    *("config.json", "near_duplicates.csv", "predictions.csv", "report.*", "lock"),
    *("label_issues.csv", "model_card.md"),
    *("heads/*only/*/weights.npz", "backbones/lexical/checkpoint.json", "solution.json"),
)
"""Files that only people read, those read like one above, and those that only status reads, which
reports them as stale."""


class Exploit:
    """Creates the file `marker` when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def as_pickle(exploit, content):
    return pickle.dumps(exploit)


def as_torch_file(exploit, content):
    file = io.BytesIO()
    torch.save({"weight": exploit}, file)
    return file.getvalue()


def as_array(exploit, content):
    file = io.BytesIO()
    np.save(file, np.array([exploit], dtype=object), allow_pickle=True)
    return file.getvalue()


def as_arrays(exploit, content):
    """Under the array names of the original."""
    with np.load(io.BytesIO(content)) as arrays:
        names = arrays.files
    file = io.BytesIO()
    np.savez(file, **dict.fromkeys(names, np.array([exploit], dtype=object)))
    return file.getvalue()


def truncated(exploit, content):
    return content[: len(content) // 2]


def one_bit_flipped(exploit, content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def value_edited(exploit, content):
    """Change the first number to a string, or the first letter a to b."""
    changed = re.sub(rb": (-?[0-9][0-9.e-]*)", rb': "\1"', content, count=1)
    return changed if changed != content else content.replace(b"a", b"b", 1)


DAMAGES = {
    ".npz": (as_pickle, as_array, as_arrays, truncated, one_bit_flipped),
    ".npy": (as_pickle, as_array, truncated, one_bit_flipped),
    ".safetensors": (as_pickle, as_torch_file, truncated, one_bit_flipped),
    ".h5": (as_pickle, truncated),
    ".json": (as_pickle, truncated, one_bit_flipped, value_edited),
    ".jsonl": (as_pickle, truncated),
}
CASES = [
    pytest.param(pattern, damage, id=f"{pattern} {damage.__name__}")
    for pattern in READ_BY
    for damage in DAMAGES["." + pattern.rsplit(".", 1)[1]]
]


@pytest.fixture(scope="module", autouse=True)
def cheap_predict_and_report():
    """Embed one meme alone, and draw no plots: no command gets to the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "CPU_BATCH_SIZE", 1)
        skip_plots(patch.setattr)
        yield


@pytest.fixture(scope="module")
def working_directory(tmp_path_factory, tiny_run, tiny_sample, command):
    """A folder with a finished run, whose ensemble gives a weight to every member."""
    folder = tmp_path_factory.mktemp("cwd")
    shutil.copytree(tiny_run, folder / "runs" / "r")
    shutil.copy(next(tiny_sample.glob("img/*")), folder / "meme.png")
    (folder / "memes.csv").write_text("id,img,text\n1,meme.png,love it\n")
    with pytest.MonkeyPatch.context() as patch:
        apply_quick_settings(patch.setattr)
        patch.setattr(MlpHead, "GRID", MlpHead.GRID[:1])
        patch.setattr(AlignHead, "GRID", [{"steps": 8}])
        for name in ("fit-heads", "submit", "check", "report"):
            assert command(name, "--run", "r", cwd=folder).returncode in (0, 1)
    path = folder / "runs/r/heads/ensemble.json"
    ensemble = read_json(path, "submit")
    ensemble["weights"] = dict.fromkeys(ensemble["weights"], 0.1)
    write_json(path, ensemble)
    return folder


@pytest.fixture(scope="module")
def run(working_directory):
    return working_directory / "runs" / "r"


def files_of(run):
    return sorted(path for path in run.rglob("*") if path.is_file())


@pytest.fixture
def marker(tmp_path):
    """The file that an exploit creates."""
    return tmp_path / "code ran"


def test_every_file_of_a_run_is_tested_below(run):
    names = [str(path.relative_to(run)) for path in files_of(run)]
    patterns = (*READ_BY, *NEVER_READ)
    assert not [name for name in names if not any(fnmatch(name, p) for p in patterns)]
    assert not [p for p in READ_BY if not any(fnmatch(name, p) for name in names)]


@pytest.mark.parametrize(("pattern", "damage"), CASES)
def test_damaged_or_malicious_file_is_named_and_runs_no_code(run, marker, command, pattern, damage):
    path = next(p for p in files_of(run) if fnmatch(str(p.relative_to(run)), pattern))
    good = path.read_bytes()
    path.write_bytes(damage(Exploit(marker), good))
    try:
        done = command(*READ_BY[pattern], "--run", "r", cwd=run.parents[1])
    finally:
        path.write_bytes(good)
    assert done.returncode == 2, done.stderr
    assert path.name in done.stderr and "python pipeline.py" in done.stderr, done.stderr
    assert not marker.exists()


@pytest.mark.parametrize("tower", ["image", "text"])
def test_pickled_weights_are_not_loaded(
    working_directory, marker, tiny_weights, tiny_sample, tmp_path, command, tower
):
    folder = shutil.copytree(tiny_weights / tower, tmp_path / "weights")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(as_torch_file(Exploit(marker), b""))
    weights = {name: tiny_weights / name for name in ("image", "text")} | {tower: folder}
    flags = [arg for name in weights for arg in (f"--{name}-weights", weights[name])]
    arguments = ("extract", "--run", "other", "--data", tiny_sample, *flags)
    done = command(*arguments, cwd=working_directory)
    assert done.returncode == 2
    assert "lacks model.safetensors" in done.stderr and "pytorch_model.bin" in done.stderr
    assert not marker.exists()


def test_custom_code_named_in_a_model_config_is_neither_run_nor_offered(
    run, marker, monkeypatch, command
):
    folder = next(run.glob("backbones/space_*/text"))
    good = (folder / "config.json").read_bytes()
    code = f"open({str(marker)!r}, 'w')\nclass Config: ...\nclass Model: ...\n"
    (folder / "exploit.py").write_text(code)
    auto_map = {"AutoConfig": "exploit.Config", "AutoModel": "exploit.Model"}
    config = {**json.loads(good), "model_type": "exploit", "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    try:
        done = command(*ONE_MEME, "--run", "r", cwd=run.parents[1])
    finally:
        (folder / "config.json").write_bytes(good)
        (folder / "exploit.py").unlink()
    assert done.returncode == 2 and "config.json" in done.stderr
    assert not marker.exists()
