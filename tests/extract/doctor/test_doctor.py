"""The doctor reports everything that would stop a run at once, and writes nothing."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_folders import contents, edit, table

from extract.config import PLATEAU, ExtractConfig
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.doctor import doctor
from extract.doctor.check_classes_and_folds import (
    check_balance,
    check_captions,
    check_contradictions,
    check_folds,
    check_label_shift,
    check_near_duplicates,
    duration,
)
from extract.doctor.check_rows import check_data
from extract.doctor.finding import FAIL, OK, WARNING, Finding, print_findings
from features.feature_table import Rows
from runtime.errors import UserError

PIPELINE = Path(__file__).parents[3] / "pipeline.py"
CHECKS = {
    "settings", "versions", "device", "threads", "OpenMP", "run folder", "lock", "image weights",
    "text weights", "data", "rows", "class balance", "label shift", "contradictions",
    "near-duplicates", "folds", "captions", "features", "disk", "memory", "time",
}  # fmt: skip


def by_name(findings):
    return {finding.name: finding for finding in findings}


def failed(findings):
    return {finding.name for finding in findings if finding.state == FAIL}


def make_rows(train, val, test, group=None):
    """Rows with the given labels in each split."""
    label = np.array([*train, *val, *test])
    split = np.repeat(np.array(["train", "val", "test"], object), [len(train), len(val), len(test)])
    every = np.arange(len(label))
    return Rows(every.astype(str).astype(object), split, label, every if group is None else group,
                np.full(len(label), -1), every)  # fmt: skip


# All checks


def test_all_checks_run_and_none_fails_on_good_data(tiny_config, tmp_path):
    findings = doctor.run_checks(tiny_config, tmp_path / "runs/r")
    assert {finding.name for finding in findings} == CHECKS
    assert not failed(findings)


def test_failures_of_every_kind_are_reported_at_once(tiny_config, data, tmp_path):
    (data / table(data, "test")["img"][5]).write_bytes(b"no picture")
    edit(data, "train", 3, "label", 7)
    run = tmp_path / "run"
    run.write_text("a file in place of the run's folder")
    config = replace(tiny_config, data=str(data), image_weights="nowhere", device="gpu", folds=30)
    assert failed(doctor.run_checks(config, run)) == {
        "device", "run folder", "image weights", "rows", "folds"
    }  # fmt: skip


def test_nothing_is_written_to_data_run_or_temporary_folder(
    tiny_config, data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    before = contents(tmp_path)
    doctor.run_checks(replace(tiny_config, data=str(data)), Path("runs/r"))
    doctor.run_checks(replace(tiny_config, data=None, sample_memes=120), Path("runs/r"))
    assert contents(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "temp"}
    assert not list((tmp_path / "temp").iterdir())


def test_finished_run_is_not_changed(tiny_config, run):
    before = contents(run.parent)
    found = by_name(doctor.run_checks(tiny_config, run))["features"]
    assert found.state == OK and "will not change it" in found.found
    assert contents(run.parent) == before


def test_command_prints_plain_table_of_80_columns_and_exits_with_1(
    tiny_config, tiny_sample, tmp_path, command
):
    weights = ("--image-weights", tiny_config.image_weights, "--text-weights", "nowhere")
    done = command("doctor", "--data", tiny_sample, *weights, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "FAIL     text weights" in done.stdout and "ok       rows" in done.stdout
    assert "extract would stop" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 and "\x1b" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_warnings_alone_do_not_fail_and_markup_in_names_is_printed(monkeypatch, capsys):
    found = [Finding(WARNING, "rows", "a[bold].csv:3: bad", "fix it")]
    monkeypatch.setattr(doctor, "run_checks", lambda config, run: found)
    assert doctor.doctor(ExtractConfig(), Path("runs/r"))
    printed = capsys.readouterr().out
    assert "a[bold].csv:3" in printed and "→ fix it" in printed and "warnings: 1:" in printed
    print_findings([Finding(FAIL, "rows", "x-" * 100)])
    assert capsys.readouterr().out.count("x-") == 100


def test_several_processes_are_rejected(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="torchrun"):
        doctor.doctor(ExtractConfig(), Path("runs/r"))


def test_checks_that_need_weights_are_reported_as_skipped_without_them(tiny_config, tmp_path):
    config = replace(tiny_config, text_weights="nowhere")
    found = by_name(doctor.run_checks(config, tmp_path / "r"))
    assert found["resources"].state == WARNING and "need weights" in found["resources"].found
    assert found["near-duplicates"].state != FAIL and "memory" not in found


def test_training_is_not_timed_if_memory_is_short(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.doctor.check_disk_memory.available_memory", lambda: 1000)
    findings = doctor.run_checks(tiny_config, tmp_path / "r")
    assert failed(findings) == {"memory"} and "time" not in by_name(findings)


# Settings


def test_flags_without_effect_are_listed():
    assert doctor.check_settings(ExtractConfig(epochs=4)) == Finding(OK, "settings", "--epochs 4")
    useless = ExtractConfig(data="x", sample_memes=200)
    assert "--sample-memes" in doctor.check_settings(useless).found
    assert doctor.check_settings(ExtractConfig(text_column="t")).state == WARNING


# Rows and pictures


def rows_of(config, folder, **settings):
    return by_name(check_data(replace(config, **settings), folder)[1])["rows"]


def test_unreadable_data_fail(tiny_config, tmp_path):
    memes, findings = check_data(tiny_config, tmp_path / "nowhere")
    assert memes is None and failed(findings) == {"data"}


def test_valid_rows_are_ok(tiny_config, tiny_sample):
    found = rows_of(tiny_config, tiny_sample)
    assert found.state == OK and "all 160 are valid" in found.found


def test_bad_rows_are_counted_and_the_first_are_listed_with_file_and_line(tiny_config, data):
    for row in range(8):
        edit(data, "test", row, "text", "a\0b")
    edit(data, "train", 4, "text", "a\0b")
    found = rows_of(tiny_config, data)
    assert found.state == FAIL and "9 bad rows" in found.found
    assert "test.csv, train.csv: 9 rows have the same fault (8, 1)" in found.found
    assert "test.csv:2: column text" in found.found and "train.csv:6: column text" in found.found
    assert "continue with --on-bad-rows blank: 8 test rows blanked, 1 train" in found.advice
    assert rows_of(tiny_config, data, on_bad_rows="blank").state == WARNING


def test_problem_that_blank_does_not_solve_is_named(tiny_config, data):
    edit(data, "train", 3, "label", 7)
    edit(data, "test", 1, "text", "a\0b")
    found = rows_of(tiny_config, data, on_bad_rows="blank")
    assert found.state == FAIL and "helps with 1, not with train.csv:5" in found.advice


def test_other_checks_continue_with_the_remaining_rows(tiny_config, data):
    edit(data, "train", 3, "label", 7)
    (data / table(data, "test")["img"][5]).write_bytes(b"no picture")
    (memes, pictures), _ = check_data(tiny_config, data)
    assert len(memes) == len(pictures.index) == 159
    assert (memes.rows["label"][memes.rows["split"] == "train"] >= 0).all()


def test_fingerprint_equals_that_of_extract(tiny_config, tiny_sample, tiny_run):
    """Digests and hashes are of picture files, so that thumbnails have the same."""
    (_, pictures), _ = check_data(tiny_config, tiny_sample)
    assert pictures.pixels.shape[2:] == (8, 8)
    found = by_name(doctor.run_checks(tiny_config, tiny_run))["features"]
    assert "same data" in found.found


# Labels


def test_rare_class_is_a_warning():
    assert check_balance(make_rows([0, 1] * 10, [0, 1], [-1, -1])).state == OK
    rare = check_balance(make_rows([0] * 19 + [1], [0, 1], [-1]))
    assert rare.state == WARNING and "train 20: 5.0% positive" in rare.found
    assert "labels unknown" in rare.found


def test_label_shift_is_a_warning_unless_it_may_be_chance():
    assert check_label_shift(make_rows([0, 1] * 50, [0, 1, 1] * 5, [])).state == OK
    shift = check_label_shift(make_rows([0, 0, 1] * 100, [0, 1, 1] * 40, []))
    assert shift.state == WARNING and "--prior" in shift.advice
    assert check_label_shift(make_rows([0, 1], [], [])).state == OK


def test_contradictions_are_listed(make_table):
    memes = make_table([0, 0, 1], ["Same", "same", "same"], ["train"] * 3)
    pictures = Pictures(None, None, ["a", "b"], np.array([0, 0, 1]))
    found = check_contradictions(memes, pictures, make_rows([0, 1, 1], [], []))
    assert found.state == WARNING and "0, 1" in found.found
    assert check_contradictions(memes, pictures, make_rows([1, 1, 0], [], [])).state == OK


def test_near_duplicates_between_test_and_train_are_a_warning():
    groups = np.array([0, 0, 1, 2])
    assert check_near_duplicates(make_rows([0, 1], [], [1, 1], groups)).state == OK
    found = check_near_duplicates(make_rows([0, 1], [], [1, 1], np.array([0, 1, 1, 2])))
    assert found.state == WARNING and "near-duplicates in train or val: 1 (50%)" in found.found


def test_every_fold_that_cannot_be_assigned_fails_with_its_reason():
    config = ExtractConfig(folds=2, batch_size=8)
    assert check_folds(make_rows([0, 1] * 50, [], []), config).state == OK
    few = check_folds(make_rows([0, 1] * 4, [], []), config)
    assert few.state == FAIL and "Add labelled rows" in few.advice
    poor = check_folds(make_rows([0] * 60 + [1] * 6, [], []), config)
    assert poor.state == FAIL and "fold 0" in poor.found and "fold 1" in poor.found


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_rows_too_few_to_monitor_fail_only_with_the_schedule_that_monitors():
    rows = make_rows([0] * 60 + [1] * 10, [], [])
    cosine = ExtractConfig(folds=2, batch_size=8, seed=1)
    assert check_folds(rows, cosine).state == OK
    poor = check_folds(rows, replace(cosine, schedule=PLATEAU))
    assert poor.state == FAIL and "monitored" in poor.found


def test_batch_larger_than_the_fitted_rows_is_a_warning():
    found = check_folds(make_rows([0, 1] * 50, [], []), ExtractConfig(folds=2, batch_size=64))
    assert found.state == WARNING and "--batch-size" in found.advice


@pytest.mark.parametrize(
    ("cut", "max_tokens", "state"), [(0, 64, OK), (1, 64, OK), (3, 64, WARNING), (1, 128, WARNING)]
)
def test_truncated_captions_are_counted(make_text_encoder, cut, max_tokens, state):
    tokens = [np.arange(64)] * cut + [np.arange(9)] * (40 - cut)
    captions = Captions(tokens, np.arange(40), 0, cut)
    found = check_captions(captions, make_text_encoder(), ExtractConfig(max_tokens=max_tokens))
    assert found.state == state and f"{cut} truncated to 64 tokens" in found.found


def test_durations_are_formatted_in_a_suitable_unit():
    assert [duration(s) for s in (7, 89, 90, 3600, 86400)] == [
        "7 s", "89 s", "1.5 min", "60 min", "24 h"
    ]  # fmt: skip
