"""Atomic writes: a file under its final name is complete, whatever interrupts the write."""

import errno

import pytest

from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write, atomic_write_folder, write_text
from runtime.files.json_files import read_json, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_final_name_appears_only_after_the_block(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failing_block_leaves_the_old_file_and_no_temporary_file(tmp_path, error):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error), atomic_write(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_text_is_written_as_utf8_without_translating_line_ends(tmp_path):
    assert write_text(tmp_path / "a", "é\nb\r\n").read_bytes() == b"\xc3\xa9\nb\r\n"


def test_json_round_trip_keeps_text_readable(tmp_path):
    path = write_json(tmp_path / "a.json", {"caption": "é", "n": [1, None]})
    assert read_json(path, "extract") == {"caption": "é", "n": [1, None]}
    assert "é" in path.read_text(encoding="utf-8")


def test_unserialisable_content_leaves_the_old_json_file(tmp_path):
    path = write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path, "extract") == {"old": 1}


def test_missing_json_names_the_command_that_writes_it(tmp_path):
    with pytest.raises(UserError, match=r"a\.json is missing.*python pipeline\.py fit-heads"):
        read_json(tmp_path / "a.json", "fit-heads")


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xff\xfe"])
def test_damaged_json_names_the_file_and_the_command(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is damaged .*python pipeline\.py submit"):
        read_json(tmp_path / "a.json", "submit")


@pytest.mark.parametrize(
    ("old", "new"),
    [('"b": 0.5', '"b": 0.6'), ('"b": 0.5', '"c": 0.5'), ('"xxh3"', '"xxh"'), ("1,", "1, 2,")],
)
def test_edited_json_is_detected(tmp_path, old, new):
    path = write_json(
        tmp_path / "a.json", {"a": 1, "b": 0.5, "c": [float("nan"), "é", {"1": None}]}
    )
    assert read_json(path, "submit")["b"] == 0.5
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.json is damaged .*python pipeline\.py submit"):
        read_json(path, "submit")


def test_new_folder_replaces_the_whole_old_folder(tmp_path):
    folder = tmp_path / "deep" / "heads"
    for name in ("old", "new"):
        with atomic_write_folder(folder) as partial:
            (partial / name).touch()
    assert names(folder) == ["new"]
    assert names(folder.parent) == ["heads"]


def test_failing_block_leaves_the_old_folder_and_no_temporary_folder(tmp_path):
    folder = tmp_path / "heads"
    with atomic_write_folder(folder) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), atomic_write_folder(folder) as partial:
        (partial / "half").touch()
        raise RuntimeError
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["heads"]


def test_leftovers_of_a_killed_command_are_not_in_the_new_folder(tmp_path):
    leftover = tmp_path / "heads.partial"
    leftover.mkdir()
    (leftover / "stale").touch()
    with atomic_write_folder(tmp_path / "heads") as partial:
        (partial / "new").touch()
    assert names(tmp_path / "heads") == ["new"]


@pytest.mark.parametrize("text", ["", "file write failed: time = now\n, errno = 28, buf"])
def test_full_disk_is_named_in_one_line_with_what_to_do(tmp_path, text):
    error = OSError(text) if text else OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UserError) as caught, atomic_write(tmp_path / "a.h5"):
        raise error
    message = str(caught.value)
    assert "a.h5 cannot be written: No space left on device. Free some space" in message
    assert message.isprintable() and names(tmp_path) == []
