"""review.jsonl files: what stands, what is refused."""

import json

import pytest

from extract.tables.review_files import read_reviews
from runtime.errors import UserError


def line(meme, decision, reviewer="Ada", minute=0, **more):
    time = f"2025-01-02T03:{minute:02}:00.000+00:00"
    return json.dumps(
        {"id": meme, "decision": decision, "reviewer": reviewer, "time": time, **more}
    )


def standing(folder, *files):
    paths = [folder / f"{number}.jsonl" for number in range(len(files))]
    for path, lines in zip(paths, files, strict=True):
        path.write_text("".join(f"{one}\n" for one in lines))
    return [(review.id, review.label, review.reviewer) for review in read_reviews(paths)]


def test_skipped_and_undone_decisions_do_not_count(tmp_path):
    found = standing(
        tmp_path,
        [
            line("a", "hateful"), line("b", "skip"), line("c", "not", minute=1),
            line("a", "undo", minute=2), line("d", "not", minute=3), line("d", "undo", minute=4),
            line("d", "hateful", minute=5),
        ],
    )  # fmt: skip
    assert found == [("c", 0, "Ada"), ("d", 1, "Ada")]


def test_an_undo_takes_back_only_the_reviewers_own_decision(tmp_path):
    undone = [line("a", "not"), line("a", "hateful", "Ben", 1), line("a", "undo", minute=2)]
    assert standing(tmp_path, undone) == [("a", 1, "Ben")]


def test_files_are_joined_by_time_and_one_that_is_named_twice_counts_once(tmp_path):
    late, early = [line("a", "hateful", minute=9)], [line("a", "not", "Ben", 3)]
    assert standing(tmp_path, late, early) == [("a", 0, "Ben"), ("a", 1, "Ada")]
    path = tmp_path / "0.jsonl"
    assert len(read_reviews([path, tmp_path / "." / "0.jsonl"])) == 1


def test_a_line_that_is_being_written_is_not_read(tmp_path):
    path = tmp_path / "review.jsonl"
    path.write_text(line("a", "not") + "\n" + line("b", "not")[:20])
    assert [review.id for review in read_reviews([path])] == ["a"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("id,text,label", "Expecting value"),
        ('{"id": "1", "img": "a.png", "label": 0, "text": "x"}', "it has no 'decision'"),
        (line("a", "yes"), "its decision is 'yes'"),
        (line(17, "not"), "a value is not text"),
        (line("a", "not").replace("+00:00", ""), "its time has no time zone"),
        (line("a", "not").replace("2025", "yesterday"), "Invalid isoformat string"),
        (line("a\nb", "not"), "allowed any text in one line"),
        (line("a", "not", caption="\ud800"), "not UTF-8"),
        ("[" * 100_000, "recursion"),
        ("[]", "list indices"),
    ],
)
def test_another_file_is_refused_by_line(tmp_path, content, fault):
    with pytest.raises(UserError, match=r"0\.jsonl, line 2 is no decision") as error:
        standing(tmp_path, [line("a", "skip"), content])
    assert fault in str(error.value) and "allowed is a JSON object with id" in str(error.value)


def test_a_missing_file_is_named_with_where_they_are(tmp_path):
    with pytest.raises(UserError, match=r"no file .*none\.jsonl.*in runs/NAME/review\.jsonl"):
        read_reviews([tmp_path / "none.jsonl"])
