"""Test which memes of a run are reviewed, and how their pictures are sent."""

import json
from io import BytesIO

import pytest
from PIL import Image

from runtime.errors import UserError
from serve.review.review_memes import SHOWN_SIDE, read_doubtful_memes, shown_picture


@pytest.fixture
def make_run(tmp_path):
    """f(probability by id) -> a run with two train memes and these test memes."""

    def make(probabilities):
        memes = [("t1", "train"), ("t2", "train"), *((name, "test") for name in probabilities)]
        lines = [
            json.dumps({"id": name, "split": split, "caption": f"of {name}", "image": f"/{name}"})
            for name, split in memes
        ]
        (tmp_path / "memes.jsonl").write_text("\n".join(lines) + "\n")
        rows = [f"{name},{p},{int(p > 0.5)}" for name, p in probabilities.items()]
        (tmp_path / "predictions.csv").write_text("\n".join(["id,probability,label", *rows]) + "\n")
        return tmp_path

    return make


def test_all_are_reviewed_if_few_are_doubtful_the_least_certain_first(make_run):
    memes, pictures = read_doubtful_memes(make_run({"a": 0.9, "b": 0.52, "c": 0.1}), 0.5)
    assert [(meme.row, meme.id, meme.caption) for meme in memes] == [
        (3, "b", "of b"), (2, "a", "of a"), (4, "c", "of c"),
    ]  # fmt: skip
    assert str(pictures[3]) == "/b"


def test_only_the_doubtful_are_reviewed_if_they_are_many(make_run):
    probabilities = {f"m{n}": n / 100 for n in range(100)}
    memes, _ = read_doubtful_memes(make_run(probabilities), 0.302)
    assert {meme.id for meme in memes} == {f"m{n}" for n in range(16, 46)}
    assert memes[0].id == "m30"


def test_missing_damaged_and_foreign_files_are_user_errors(make_run):
    run = make_run({"a": 0.5})
    (run / "predictions.csv").write_text("id,probability,label\nz,0.5,1\n")
    with pytest.raises(UserError, match="lacks: it belongs to other data"):
        read_doubtful_memes(run, 0.5)
    (run / "predictions.csv").write_text("id,probability,label\na,x,1\n")
    with pytest.raises(UserError, match="is damaged"):
        read_doubtful_memes(run, 0.5)
    (run / "predictions.csv").unlink()
    with pytest.raises(UserError, match=r"is missing\. Run: python pipeline\.py submit"):
        read_doubtful_memes(run, 0.5)
    make_run({"a": 0.5})
    (run / "memes.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match=r"memes\.jsonl is damaged"):
        read_doubtful_memes(run, 0.5)


def test_a_picture_is_sent_small_and_no_other_file_is_sent(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (3000, 1500)).save(path)
    assert Image.open(BytesIO(shown_picture(path))).size == (SHOWN_SIDE, SHOWN_SIDE // 2)
    path.write_text("secret")
    assert shown_picture(path) is None
    assert shown_picture(tmp_path / "none") is None
