"""Test the batcher: shared calls, order, limit, faults and closing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serve.batching import MAX_BATCH, Batcher, ClosedError, Meme, QueueFullError


class Upper:
    """A predictor that answers captions in capitals, once it may go on."""

    def __init__(self):
        self.batches = []
        self.going_on = threading.Event()

    def __call__(self, pictures, captions):
        self.batches.append(captions)
        assert self.going_on.wait(10)
        if "bad" in captions:
            raise RuntimeError("bad")
        return [caption.upper() for caption in captions]


@pytest.fixture
def upper():
    return Upper()


@pytest.fixture
def make(upper):
    """f(**options) -> a batcher over `upper`."""
    made = []

    def make(**options):
        made.append(Batcher(upper, **options))
        return made[-1]

    yield make
    upper.going_on.set()
    for batcher in made:
        batcher.close()


def one(caption):
    return [Meme(None, caption)]


def test_200_requests_at_once_share_calls_and_keep_their_answers(make, upper):
    upper.going_on.set()
    batcher = make()
    sent = [[Meme(None, f"m{n}-{k}") for k in range(1 + n % 3)] for n in range(200)]
    with ThreadPoolExecutor(200) as pool:

        def ask(memes):
            while True:
                try:
                    return batcher.submit(memes).result(10)
                except QueueFullError:
                    pass

        answers = list(pool.map(ask, sent))
    assert answers == [[meme.caption.upper() for meme in memes] for memes in sent]
    assert len(upper.batches) < 100
    assert max(map(len, upper.batches)) <= MAX_BATCH


def wait_for_first_call(upper):
    while not upper.batches:
        pass


def test_what_waits_is_answered_in_one_call(make, upper):
    sizes = []
    batcher = make(observe=sizes.append)
    first = batcher.submit(one("first"))
    wait_for_first_call(upper)
    others = [batcher.submit(one(name)) for name in "abc"]
    assert batcher.waiting == 3
    upper.going_on.set()
    assert [future.result(10) for future in (first, *others)] == [["FIRST"], ["A"], ["B"], ["C"]]
    assert upper.batches == [["first"], ["a", "b", "c"]] and sizes == [1, 3]


def test_a_full_queue_refuses(make, upper):
    batcher = make(max_waiting=2)
    batcher.submit(one("first"))
    wait_for_first_call(upper)
    batcher.submit(one("a") * 2)
    with pytest.raises(QueueFullError):
        batcher.submit(one("b"))


def test_one_bad_request_spoils_no_other(make, upper):
    batcher = make()
    first = batcher.submit(one("first"))
    wait_for_first_call(upper)
    good, bad, cancelled = (batcher.submit(one(name)) for name in ("good", "bad", "cancelled"))
    assert cancelled.cancel()
    upper.going_on.set()
    assert first.result(10) == ["FIRST"] and good.result(10) == ["GOOD"]
    with pytest.raises(RuntimeError):
        bad.result(10)
    assert batcher.submit(one("later")).result(10) == ["LATER"]
    assert not any("cancelled" in batch for batch in upper.batches)


def test_closing_answers_what_waits(make, upper):
    batcher = make()
    futures = [batcher.submit(one(str(n))) for n in range(5)]
    upper.going_on.set()
    batcher.close()
    assert all(future.done() for future in futures) and not batcher.ready
    with pytest.raises(ClosedError):
        batcher.submit(one("late"))
