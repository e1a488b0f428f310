"""`report --explain`: the report's gallery says what matters in a meme, and when it cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from heads.config import SubmitConfig
from heads.ensemble.explained_memes import read_explanations
from heads.report import gallery
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.gallery import choose_rows
from heads.run import submit
from runtime.errors import UserError
from serve.gallery_explanations import explain_gallery

pytestmark = pytest.mark.usefixtures("quick_heads", "no_plots")


def report_of(run):
    return write_report(read_run(run)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def explained(scored_run, tmp_path_factory):
    """A run whose gallery of three memes is explained, and its rows; the first has no picture."""
    run = shutil.copytree(scored_run, tmp_path_factory.mktemp("explained") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "MISTAKES", 2)
        patch.setattr(gallery, "UNCERTAIN", 1)
        rows = choose_rows(read_run(run))
        memes = [json.loads(line) for line in (run / "memes.jsonl").read_text().splitlines()]
        memes[rows.mistakes[0]]["image"] = str(run / "gone.png")
        (run / "memes.jsonl").write_text("".join(f"{json.dumps(meme)}\n" for meme in memes))
        explain_gallery(run, "cpu")
    return run, rows


def test_memes_of_the_gallery_are_explained_but_those_without_their_picture(explained):
    run, rows = explained
    found = read_explanations(run)
    assert list(found) == [rows.mistakes[1], *rows.uncertain]
    one = found[rows.uncertain[0]]
    caption = read_run(run).memes[rows.uncertain[0]].caption
    assert [word for word, _ in one.words] == caption.split()
    assert one.picture_alone is not None and np.array(one.grid()).shape == (3, 3)
    sizes = [abs(contribution) for _, contribution in one.main_words()]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) <= 4


def test_the_report_shows_them_until_there_is_another_ensemble(explained, tmp_path):
    run = shutil.copytree(explained[0], tmp_path / "run")
    page = report_of(run)
    assert page.count('<details class="why">') == 2 and "--explain" not in page
    submit(SubmitConfig(ensemble="rank", out=str(tmp_path / "solution.csv")), run)
    page = report_of(run)
    assert '<details class="why">' not in page
    assert "python pipeline.py report --run run --explain" in page


def test_a_damaged_file_is_named(explained, tmp_path):
    run = shutil.copytree(explained[0], tmp_path / "run")
    path = Path(run / "explanations.json")
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(UserError, match=r"explanations\.json is damaged.*report --explain"):
        write_report(read_run(run))
