"""Bad data given to extract: exit code 2, one message, no traceback, no files left."""

import shutil
import sys

import pytest
from case_count import CASES, FUZZ

import pipeline

BAD = {
    "nul": lambda text: text.replace(b" the ", b"\0"),
    "cut": lambda text: text[: len(text) // 2] + b'"',
    "empty": lambda _: b"",
    "bytes": lambda _: bytes(range(256)) * 9,
    "latin": lambda text: text.replace(b" the ", b" th\xe9 "),
    "quote": lambda text: text.replace(b"img/", b'"img/', 1),
    "twice": lambda text: text + text.split(b"\n", 1)[1],
    "paths": lambda text: text.replace(b"img/", b"../img/"),
    "header": lambda text: text.replace(b"text", b"tekst", 1),
}


@pytest.mark.parametrize("bad", [*BAD, "pictures"])
def test_bad_data_prints_one_message_and_leaves_no_file(
    tmp_path, monkeypatch, capsys, tiny_sample, tiny_weights, bad
):
    data = shutil.copytree(tiny_sample, tmp_path / "data")
    if bad == "pictures":
        for path in (data / "img").iterdir():
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
    else:
        path = data / "test.csv"
        changed = BAD[bad](path.read_bytes())
        assert changed != path.read_bytes()
        path.write_bytes(changed)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    weights = [f"--{kind}-weights={tiny_weights / kind}" for kind in ("image", "text")]
    command = ["pipeline.py", "extract", "--data", "data", "--device", "cpu", *weights]
    monkeypatch.setattr(sys, "argv", command)
    assert pipeline.main() == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and "Traceback" not in err
    assert ("png" if bad == "pictures" else "test.csv") in err
    left = [path for path in tmp_path.rglob("*") if path not in before]
    assert {path.name for path in left} <= {"runs", ".default.lock"}


def test_number_of_cases_is_as_documented():
    assert sum(CASES.values()) * FUZZ >= 8000
