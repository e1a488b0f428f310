"""Merged folds equal the run that one machine creates; incompatible parts are rejected."""

import shutil
from dataclasses import replace

import pytest

from extract.merge_folds import merge
from extract.run import extract
from runtime.errors import UserError


@pytest.fixture
def make_part(tiny_config, tmp_path):
    """Return f(folds, settings) -> run with the spaces of these folds."""

    def make(folds, **settings):
        run = tmp_path / f"part_{folds}_{len(settings)}"
        extract(replace(tiny_config, **settings), run, only_folds=folds)
        return run

    return make


def spaces(part):
    return sorted(path.name for path in part.glob("unfinished/*/*/"))


def test_merged_folds_equal_the_run_of_one_machine(make_part, tiny_run, tmp_path):
    parts = [make_part("1"), make_part("0")]
    assert [spaces(part) for part in parts] == [["space_1"], ["lexical", "pretrained", "space_0"]]
    assert not list(tmp_path.rglob("features.h5"))
    features = merge(tmp_path / "run", parts, None, force=False)
    assert features.read_bytes() == (tiny_run / "features.h5").read_bytes()
    files, expected = (
        {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
        for run in (tmp_path / "run", tiny_run)
    )
    assert files == expected
    # merge does not change the other parts.
    assert spaces(parts[0]) == ["space_1"]


@pytest.mark.usefixtures("fake_training")
def test_parts_can_be_merged_into_one_of_them(make_part):
    parts = [make_part("0"), make_part("1")]
    assert merge(parts[0], parts, None, force=False).is_file()
    assert spaces(parts[0]) == []


@pytest.mark.usefixtures("fake_training")
def test_finished_folds_of_a_part_are_reused(tiny_config, make_part, fake_training):
    part = make_part("0")
    extract(tiny_config, part, only_folds="0,1")
    assert len(fake_training) == 2
    assert spaces(part) == ["lexical", "pretrained", "space_0", "space_1"]


@pytest.mark.usefixtures("fake_training")
def test_data_may_be_in_another_folder_but_must_be_the_same(make_part, data, tmp_path):
    parts = [make_part("0"), make_part("1")]
    assert merge(tmp_path / "moved", parts, str(data), force=False).is_file()
    train = data / "train.csv"
    train.write_text(train.read_text().replace(" the ", " a ", 1))
    with pytest.raises(UserError, match="other data or weights than are found now"):
        merge(tmp_path / "edited", parts, str(data), force=False)
    assert not (tmp_path / "edited").exists()


@pytest.mark.usefixtures("fake_training")
def test_missing_fold_is_named(make_part, tmp_path):
    with pytest.raises(UserError, match=r"no part holds the folds 1. .*--only-folds 1"):
        merge(tmp_path / "run", [make_part("0")], None, force=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fake_training")
def test_parts_with_different_settings_are_rejected(make_part, tmp_path):
    parts = [make_part("0"), make_part("1", epochs=1)]
    with pytest.raises(UserError, match="not parts of one run:\n  --epochs: 2 and 1"):
        merge(tmp_path / "run", parts, None, force=False)


@pytest.mark.usefixtures("fake_training")
def test_incomplete_space_is_not_merged(make_part, tmp_path):
    parts = [make_part("0"), make_part("1")]
    [space] = parts[1].glob("unfinished/*/space_1")
    (space / "checkpoint.json").unlink()
    with pytest.raises(UserError, match="no part holds the folds 1"):
        merge(tmp_path / "run", parts, None, force=False)


@pytest.mark.usefixtures("fake_training")
def test_finished_run_is_only_replaced_with_force(make_part, run):
    parts = [make_part("0"), make_part("1")]
    before = (run / "features.h5").read_bytes()
    with pytest.raises(UserError, match="--force"):
        merge(run, parts, None, force=False)
    assert (run / "features.h5").read_bytes() == before
    merge(run, parts, None, force=True)
    assert (run / "features.h5").read_bytes() != before


def test_finished_run_is_rejected_as_a_part(tiny_run, tmp_path):
    with pytest.raises(UserError, match="tiny holds no folds to merge"):
        merge(tmp_path / "run", [tiny_run], None, force=False)


@pytest.mark.parametrize("folds", ["2", "-1", "a", "", "0,7", "0;1"])
def test_invalid_only_folds_is_rejected_before_data_is_read(tiny_config, tmp_path, folds):
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match=r"--only-folds: found .*, allowed: numbers from 0 to 1"):
        extract(tiny_config, tmp_path / "run", only_folds=folds)
    assert not tmp_path.exists()


@pytest.mark.usefixtures("fake_training")
def test_damaged_embeddings_are_reported_before_any_file_is_written(make_part, tmp_path):
    parts = [make_part("0"), make_part("1")]
    path = next(parts[1].glob("unfinished/*/space_1/embeddings.h5"))
    content = path.read_bytes()
    path.write_bytes(content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:])
    with pytest.raises(UserError, match=r"part_1_0/unfinished/.*extract"):
        merge(tmp_path / "run", parts, None, force=False)
    assert not (tmp_path / "run" / "backbones").exists()
