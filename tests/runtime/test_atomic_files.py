"""A file under its final name is whole, whatever happens while it is written."""

import pytest

from runtime.atomic_files import replacing, replacing_folder, write_text
from runtime.errors import UserError
from runtime.json_files import read_json, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_final_name_appears_only_when_the_block_is_done(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error), replacing(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_text_is_utf8_with_unix_line_ends_on_every_system(tmp_path):
    assert write_text(tmp_path / "a", "é\nb\r\n").read_bytes() == b"\xc3\xa9\nb\r\n"


def test_json_comes_back_readable_by_people(tmp_path):
    path = write_json(tmp_path / "a.json", {"caption": "é", "n": [1, None]})
    assert read_json(path, "extract") == {"caption": "é", "n": [1, None]}
    assert "é" in path.read_text(encoding="utf-8")


def test_json_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path, "extract") == {"old": 1}


def test_missing_json_names_the_command_that_writes_it(tmp_path):
    with pytest.raises(UserError, match=r"a\.json is missing.*python pipeline\.py fit-heads"):
        read_json(tmp_path / "a.json", "fit-heads")


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xff\xfe"])
def test_broken_json_names_the_file_and_the_command(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is damaged .*python pipeline\.py submit"):
        read_json(tmp_path / "a.json", "submit")


@pytest.mark.parametrize(
    ("was", "now"),
    [('"b": 0.5', '"b": 0.6'), ('"b": 0.5', '"c": 0.5'), ('"xxh3"', '"xxh"'), ("1,", "1, 2,")],
)
def test_json_that_was_changed_is_found(tmp_path, was, now):
    path = write_json(
        tmp_path / "a.json", {"a": 1, "b": 0.5, "c": [float("nan"), "é", {"1": None}]}
    )
    assert read_json(path, "submit")["b"] == 0.5
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.write_text(text.replace(was, now), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.json is damaged .*python pipeline\.py submit"):
        read_json(path, "submit")


def test_a_new_folder_replaces_the_old_as_a_whole(tmp_path):
    folder = tmp_path / "deep" / "heads"
    for name in ("old", "new"):
        with replacing_folder(folder) as partial:
            (partial / name).touch()
    assert names(folder) == ["new"]
    assert names(folder.parent) == ["heads"]


def test_a_failing_block_leaves_the_old_folder_and_nothing_beside_it(tmp_path):
    folder = tmp_path / "heads"
    with replacing_folder(folder) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), replacing_folder(folder) as partial:
        (partial / "half").touch()
        raise RuntimeError
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["heads"]


def test_leftovers_of_a_killed_run_do_not_get_into_the_new_folder(tmp_path):
    leftover = tmp_path / "heads.partial"
    leftover.mkdir()
    (leftover / "stale").touch()
    with replacing_folder(tmp_path / "heads") as partial:
        (partial / "new").touch()
    assert names(tmp_path / "heads") == ["new"]
