"""Test the review queue: leases, undo, resuming, repair, and many reviewers at once."""

import json
import sys
import threading
from collections import Counter

import pytest

from runtime.errors import UserError
from serve.review import review_queue
from serve.review.review_queue import LEASE_SECONDS, ReviewConflictError, ReviewMeme, ReviewQueue


def memes(count):
    return [ReviewMeme(row, f"id{row}", f"caption {row}", 0.5) for row in range(count)]


@pytest.fixture
def clock():
    """The time, which a test may change."""
    return [0.0]


@pytest.fixture
def make(tmp_path, clock):
    """f(count=3, stamp) -> a queue over the same file; the one before is closed."""
    open_queues = []

    def make(count=3, stamp="abc"):
        while open_queues:
            open_queues.pop().close()
        path = tmp_path / "review.jsonl"
        open_queues.append(ReviewQueue(path, memes(count), 0.5, stamp, lambda: clock[0]))
        return open_queues[-1]

    yield make
    while open_queues:
        open_queues.pop().close()


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "review.jsonl").read_text().splitlines()]


def test_a_decision_is_one_line(make, tmp_path):
    queue = make()
    offer = queue.next("Ada")
    assert (offer.meme.row, offer.left) == (0, 3)
    queue.decide(0, "hateful", "Ada")
    [line] = lines(tmp_path)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "id": "id0", "decision": "hateful", "reviewer": "Ada", "probability": 0.5,
        "threshold": 0.5, "stamp": "abc", "caption": "caption 0", "image": "",
    }  # fmt: skip
    assert (queue.next("Ada").meme.row, queue.next("Ada").left) == (1, 2)


def test_a_lease_keeps_a_meme_for_two_minutes(make, clock):
    queue = make(2)
    assert queue.next("Ada").meme.row == 0
    assert queue.next("Ben").meme.row == 1
    assert queue.next("Cyd") == (None, 2)
    clock[0] = LEASE_SECONDS - 1
    assert queue.next("Ben").meme.row == 1  # which renews it
    clock[0] = LEASE_SECONDS + 1
    assert queue.next("Cyd").meme.row == 0
    with pytest.raises(ReviewConflictError):
        queue.decide(0, "not", "Ada")


def test_the_same_decision_again_changes_nothing_another_is_refused(make, tmp_path):
    queue = make()
    queue.next("Ada")
    queue.decide(0, "not", "Ada")
    queue.decide(0, "not", "Ada")
    assert len(lines(tmp_path)) == 1
    with pytest.raises(ReviewConflictError):
        queue.decide(0, "hateful", "Ada")
    with pytest.raises(ReviewConflictError):
        queue.decide(0, "not", "Ben")
    with pytest.raises(KeyError):
        queue.decide(99, "not", "Ada")
    with pytest.raises(ValueError, match="allowed: hateful, not, skip"):
        queue.decide(1, "undo", "Ada")


def test_a_skipped_meme_is_left_to_others(make):
    queue = make(1)
    queue.decide(0, "skip", "Ada")
    assert queue.next("Ada") == (None, 0)
    assert queue.next("Ben").meme.row == 0
    queue.decide(0, "not", "Ben")
    assert queue.undo("Ada") == (None, 0)  # Ben's decision stands


@pytest.mark.parametrize("restart", [False, True])
def test_undo_goes_back_step_by_step(make, tmp_path, restart):
    queue = make()
    for row, decision in enumerate(("hateful", "skip", "not")):
        assert queue.next("Ada").meme.row == row
        queue.decide(row, decision, "Ada")
    assert queue.next("Ada").meme is None
    queue = make() if restart else queue
    assert queue.undo("Ada").meme.row == 2
    queue = make() if restart else queue
    offer = queue.undo("Ada")
    assert (offer.meme.row, offer.left) == (1, 2)
    assert queue.undo("Ben").meme.row == 2  # Ben has nothing to take back
    assert [line["decision"] for line in lines(tmp_path)][3:] == ["undo", "undo"]


def test_a_restart_resumes_and_mends_a_line_that_was_cut_off(make, tmp_path):
    queue = make()
    queue.decide(0, "hateful", "Ada")
    queue.decide(1, "not", "Bén")
    path = tmp_path / "review.jsonl"
    whole = path.read_bytes()
    for size in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:size])
        assert make().next("Ada").meme.row == 1
        assert path.read_bytes() == whole[: whole.index(b"\n") + 1]
    path.write_bytes(whole)
    queue = make()
    assert queue.next("Ada").meme.row == 2
    queue.decide(2, "not", "Ada")
    assert len(lines(tmp_path)) == 3


def test_decisions_on_other_features_or_other_memes_do_not_count(make, tmp_path):
    make().decide(0, "hateful", "Ada")
    assert make(stamp="other").next("Ada").left == 3
    assert make(count=0).undo("Ada") == (None, 0)
    assert make().next("Ada").left == 2
    assert len(lines(tmp_path)) == 1


@pytest.mark.parametrize("line", ["{}", "[]", "no JSON", '{"id": 1}', "\udcff"])
def test_a_damaged_line_is_named(make, tmp_path, line):
    make().decide(0, "hateful", "Ada")
    with (tmp_path / "review.jsonl").open("a", errors="surrogateescape") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"review\.jsonl, line 2 is not a decision"):
        make()


def test_a_second_server_is_refused(make, tmp_path):
    make()
    with pytest.raises(UserError, match="used by another server"):
        ReviewQueue(tmp_path / "review.jsonl", memes(1), 0.5, "abc")


def test_a_full_disk_leaves_the_file_and_the_queue_as_they_were(make, tmp_path, monkeypatch):
    queue = make()
    queue.decide(0, "not", "Ada")
    before = (tmp_path / "review.jsonl").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(review_queue.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            queue.decide(1, "not", "Ada")
    assert (tmp_path / "review.jsonl").read_bytes() == before
    assert queue.next("Ada").meme.row == 1
    queue.decide(1, "not", "Ada")
    assert len(lines(tmp_path)) == 2


@pytest.fixture
def hasty_threads():
    """Let Python switch threads about as often as it can, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("reviewers", [2, 8])
def test_reviewers_at_once_never_share_lose_or_repeat_a_meme(
    make, tmp_path, hasty_threads, reviewers
):
    queue = make(120)
    on_screen, clashes = Counter(), []
    changing = threading.Lock()

    def review(name):
        while (meme := queue.next(name).meme) is not None:
            with changing:
                on_screen[meme.row] += 1
                if on_screen[meme.row] > 1:
                    clashes.append(meme.row)
            queue.decide(meme.row, "not", name)

    threads = [threading.Thread(target=review, args=(f"reviewer {n}",)) for n in range(reviewers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
    assert sorted(line["id"] for line in lines(tmp_path)) == sorted(m.id for m in memes(120))
    assert make(120).next("Ada") == (None, 0)
