"""Test `check` on a finished run: all checks, and which modalities the heads use."""

import json
import shutil

import pytest

from heads.check.all_checks import check_run, print_checks
from heads.check.check_result import Check


@pytest.fixture(scope="module")
def checked(finished, tmp_path_factory):
    """Checks in check.json by name, for a correct run on an XOR of both modalities."""
    folder = tmp_path_factory.mktemp("checked") / "run"
    shutil.copytree(finished.folder, folder)
    assert check_run(folder, folder / "solution.csv")
    found = json.loads((folder / "check.json").read_text())["checks"]
    return {check["name"]: check for check in found}


def test_every_check_of_a_correct_run_passes(checked):
    assert all(check["ok"] for check in checked.values())
    assert {"shuffled labels", "fusion", "solution", "constant predictions"} <= checked.keys()


@pytest.mark.parametrize("head", ["interaction", "lightgbm", "knn"])
def test_shuffling_either_modality_lowers_auroc_on_an_interaction(checked, head):
    figures = checked[f"modality use, {head}"]["figures"]
    assert figures["both"] > 0.8
    assert figures["image_shuffled"] < figures["both"] - 0.2
    assert figures["text_shuffled"] < figures["both"] - 0.2


def test_fusion_is_significantly_better_where_it_needs_both_modalities(checked):
    fusion = checked["fusion"]
    assert fusion["figures"]["gain_interval"][0] > 0.1
    assert "Fusion is significantly better than" in fusion["sentence"]


def test_inverted_submission_fails_the_check(run, capsys):
    solution = run / "solution.csv"
    lines = solution.read_text().splitlines()
    inverted = [line[:-1] + str(1 - int(line[-1])) for line in lines[1:]]
    solution.write_text("\n".join([lines[0], *inverted]) + "\n")
    assert not check_run(run, solution)
    assert "FAIL solution" in " ".join(capsys.readouterr().out.split())


def test_names_that_look_like_markup_are_printed_as_they_are(capsys):
    print_checks([Check("slices", True, "0.5 in [/en], 0.4 in [red].")])
    assert "0.5 in [/en], 0.4 in [red]." in capsys.readouterr().out
