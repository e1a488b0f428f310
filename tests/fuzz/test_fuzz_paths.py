"""Paths outside the data folder, to no file, or to pipes and devices that would block."""

import os
import socket
from pathlib import Path

import pytest
from case_count import CASES, FUZZ, cases
from table_files import create_data_folder

from extract.new_memes import read_single_meme
from extract.tables.parsing.text_cells import is_absent
from extract.tables.read_memes import read_memes, read_unlabelled
from runtime.errors import UserError

PARTS = (
    *("..", ".", "", "img", "a.png", "b.png", "/", "\\", "C:", "~", "//host", "\n", "\r", "\t"),
    *("\x1b[31m", "etc", "passwd", "%2e%2e", "x" * 300, "NUL", "\u202e", "out", "pipe.png", " "),
    *("socket.png", "zero.png", "loop.png", "folder.png", "secret.png", "b.png/", "file://", "é"),
)


@pytest.fixture
def data(tmp_path):
    """A data folder with a pipe, a device, a link loop, a folder and links to the outside."""
    data = create_data_folder(tmp_path / "data")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (data / "secret.png").symlink_to(tmp_path / "secret.png")
    (data / "out").symlink_to(tmp_path)
    (data / "loop.png").symlink_to("loop.png")
    (data / "zero.png").symlink_to("/dev/zero")
    (data / "folder.png").mkdir()
    os.mkfifo(data / "pipe.png")
    (data / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    (data / "latin.png").symlink_to(os.fsdecode(b"caf\xe9.png"))
    return data


def message_of(read, *arguments):
    with pytest.raises(UserError) as error:
        read(*arguments)
    str(error.value).encode()
    return str(error.value)


def test_path_is_a_file_in_the_data_folder_or_a_problem(data, tmp_path):
    values = []
    for _, rng in cases("odd paths"):
        parts = [PARTS[i] for i in rng.integers(len(PARTS), size=rng.integers(1, 5))]
        values.append(("/", "", "\\")[int(rng.choice(3, p=[0.6, 0.3, 0.1]))].join(parts))
    values += ["latin.png", "secret.png", "out/secret.png", "zero.png", "pipe.png", "img/a.png"]
    quoted = (value.replace('"', '""') for value in values)
    text = "".join(f'{number},"{value}",x\n' for number, value in enumerate(quoted))
    (data / "new.csv").write_bytes(f"id,img,text\n{text}".encode())
    table, problems, _ = read_unlabelled(data / "new.csv")
    faulty = {problem.row: problem for problem in problems}
    images = table.rows["image"].tolist()
    assert len(images) == len(values) == CASES["odd paths"] * FUZZ + 6
    for row, image in enumerate(images):
        if is_absent(values[row]):
            assert not image and row not in faulty
            continue
        assert bool(image) != (row in faulty), values[row]
        if image:
            # A link in the folder is the user's own, wherever it leads.
            path = Path(os.path.normpath(data.resolve() / image))
            assert path.is_file() and path.is_relative_to(data.resolve()), values[row]
        else:
            problem = str(faulty[row])
            assert problem.startswith("new.csv:") and ": column img: " in problem
            # One line without terminal control characters.
            assert problem.isprintable() and len(problem) < 1000, problem
    assert [bool(image) for image in images[-6:]] == [True] * 3 + [False] * 2 + [True]
    assert 0 < sum(map(bool, images)) < len(images) / 2


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "loop", "long", "latin"])
def test_table_that_is_not_a_regular_file_is_refused_without_blocking(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / {"long": "x" * 5000 + ".csv", "latin": os.fsdecode(b"\xe9.csv")}.get(
        kind, "train.csv"
    )
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind("train.csv")
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "latin":
            path.write_bytes(b"id,img,text\n1,b.png,x\n")
    for read in (read_memes, read_unlabelled):
        assert message_of(read, path)
    if kind != "long":
        # In a folder, a table that is not a regular file does not count as a table.
        assert message_of(read_memes, tmp_path)


@pytest.mark.parametrize(
    "name", ["x" * 5000, "pipe.png", os.fsdecode(b"caf\xe9.png"), "folder.png"]
)
def test_picture_to_predict_with_an_invalid_path_or_name(data, name):
    try:
        table, problems, _ = read_single_meme(data / name, "words")
    except UserError as error:
        assert "not UTF-8" in str(error) and str(error).isprintable()
        return
    assert table.rows["image"].tolist() == [""] and "is not a file" in str(problems[0])


def test_caption_to_predict_that_is_not_utf8_is_a_problem(data):
    table, [problem], _ = read_single_meme(data / "b.png", "caf\udce9")
    assert "--text" in str(problem) and "not UTF-8" in str(problem)
    assert table.rows["caption"].tolist() == [""]
