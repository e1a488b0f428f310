"""`check` on a finished run: which modalities its heads use, and what it says of it all."""

import json
import shutil

import pytest

from heads.check.all_checks import check_run


@pytest.fixture(scope="module")
def checked(finished, tmp_path_factory):
    """check.json of a sound run on an XOR, by name of the check."""
    folder = tmp_path_factory.mktemp("checked") / "run"
    shutil.copytree(finished.folder, folder)
    assert check_run(folder, folder / "solution.csv")
    found = json.loads((folder / "check.json").read_text())["checks"]
    return {check["name"]: check for check in found}


def test_every_check_of_a_sound_run_passes(checked):
    assert all(check["ok"] for check in checked.values())
    assert {"shuffled labels", "fusion", "solution", "constant predictions"} <= checked.keys()


@pytest.mark.parametrize("head", ["interaction", "lightgbm", "knn"])
def test_an_interaction_is_lost_when_either_modality_is_shuffled(checked, head):
    figures = checked[f"modality use, {head}"]["figures"]
    assert figures["both"] > 0.8
    assert figures["image_shuffled"] < figures["both"] - 0.2
    assert figures["text_shuffled"] < figures["both"] - 0.2


def test_fusion_is_said_to_pay_where_no_modality_knows_the_label_alone(checked):
    fusion = checked["fusion"]
    assert fusion["figures"]["gain_interval"][0] > 0.1
    assert "Fusion pays" in fusion["sentence"]


def test_a_submission_turned_around_fails_the_run(run, capsys):
    solution = run / "solution.csv"
    lines = solution.read_text().splitlines()
    turned = [line[:-1] + str(1 - int(line[-1])) for line in lines[1:]]
    solution.write_text("\n".join([lines[0], *turned]) + "\n")
    assert not check_run(run, solution)
    assert "FAIL solution" in " ".join(capsys.readouterr().out.split())
