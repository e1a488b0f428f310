"""The exported program reads tables: good rows are kept, and mistakes are named."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from serve.export import score_memes


class FakeRun:
    """Like ExportedRun: the probability is the share of "h" in the caption."""

    def __init__(self, folder):
        self.columns = {"id": "id", "image": "img", "text": "text"}
        self.scorer = SimpleNamespace(threshold=0.5)

    def score(self, pictures, captions, prior):
        return np.array([text.count("h") / max(len(text), 1) for text in captions])


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """f(*arguments) -> exit code, stdout, stderr of the program over a FakeRun."""
    monkeypatch.setattr(score_memes, "ExportedRun", FakeRun)

    def call(*arguments):
        code = score_memes.main(tmp_path, [str(one) for one in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def table(tmp_path):
    """f(text) -> a CSV file with this content."""

    def write(text):
        path = tmp_path / "memes.csv"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path

    return write


def test_faults_keep_the_good_rows(run, table, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    rows = 'id,img,text\n1,,"hh\nh"\n2,gone.png,x\n3,text.png,x\n4,,b\udcff\n5,,null\n'
    code, out, err = run(table(rows))
    assert code == 1
    lines = out.splitlines()
    assert lines == ["id,probability,label", "1,0.75,1", "2,,", "3,,", "4,,", "5,0.0,0"]
    assert "is not a file" in err and "not a picture" in err and "not UTF-8" in err
    assert "3 of 5 memes have no probability" in err


def test_a_table_cannot_name_pictures_outside_its_folder(run, table, tmp_path):
    (tmp_path / "inner").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "inner" / "inside.png")
    path = table(f"id,img,text\n1,../outside.png,h\n2,{tmp_path}/outside.png,h\n3,./inside.png,h\n")
    code, out, err = run(path.rename(tmp_path / "inner" / path.name))
    assert code == 1 and out.splitlines()[1:] == ["1,,", "2,,", "3,1.0,1"]
    assert err.count("outside.png is not in") == 2


def test_ids_that_are_not_utf8_do_not_end_the_program(run, table):
    code, out, _ = run(table("id,img,text\na\udcff,,h\nb,,h\n"))
    assert code == 0 and out.splitlines()[2] == "b,1.0,1"


def test_parts_of_a_long_table_are_written_in_order(run, table, monkeypatch):
    monkeypatch.setattr(score_memes, "PART_ROWS", 3)
    rows = "".join(f"m{n},,{'h' * (n % 2)}x\n" for n in range(10))
    code, out, _ = run(table(f"\ufeffid,img,text\n{rows}"))
    assert code == 0
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == [f"m{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,x\n", "lacks the columns img"),
        ('id,img,text\n1,,"x', "after line 1: unexpected end"),
    ],
)
def test_table_that_cannot_be_read_is_refused(run, table, content, message):
    code, out, err = run(table(content))
    assert code == 2 and message in err and not out


def test_flags_that_do_not_fit_are_refused(run, table, tmp_path):
    for arguments in ((), (table("id,img,text\n"), "--text", "x"), ("--text", "x", "--prior", "2")):
        code, out, err = run(*arguments)
        assert code == 2 and "error: " in err and not out
    assert run(tmp_path / "gone.csv")[0] == 2
    assert run("--text", "hhx")[1].splitlines()[1].startswith("text,0.66")
