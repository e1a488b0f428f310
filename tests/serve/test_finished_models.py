"""Mistakes are refused before the models' libraries are imported, which takes seconds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import UserError
from serve.finished_models import require_models

ROOT = Path(__file__).parents[2]

REFUSE = """
import sys
from pathlib import Path
from runtime.errors import UserError
from serve.config import PredictConfig
from serve.table_predictions import predict_table
for run, image in {runs}:
    try:
        predict_table(PredictConfig(image=image, text="words"), Path(run), print)
    except UserError as error:
        print(error)
print(sorted({{"torch", "timm", "transformers", "sklearn"}} & sys.modules.keys()))
"""


def test_missing_runs_and_pictures_are_refused_without_model_libraries(scored_run, tmp_path):
    runs = [(str(tmp_path / "none"), "a.png"), (str(scored_run), str(tmp_path / "none.png"))]
    command = [sys.executable, "-c", REFUSE.format(runs=runs)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "has no backbones. Run first: python pipeline.py extract" in said
    assert "none.png is not a file" in said
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("removed", "command"), [("backbones", "extract"), ("heads", "fit-heads"), (None, "submit")]
)
def test_the_first_missing_step_is_named(scored_run, tmp_path, removed, command):
    run = tmp_path / "run"
    for part in {"backbones", "heads"} - {removed}:
        shutil.copytree(scored_run / part, run / part)
    if removed is None:
        (run / "heads" / "ensemble.json").unlink()
    with pytest.raises(UserError, match=f"Run first: python pipeline.py {command}"):
        require_models(run)
