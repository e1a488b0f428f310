"""Requests that arrive together share one call of the predictor."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from serve.predictor import Prediction

MAX_BATCH = 64
"""Maximum memes in one call of the predictor, and in one request."""

MAX_WAITING = 256
"""Maximum memes in the queue; a request that does not fit is refused."""

WINDOW = 0.005
"""Seconds for which the first meme waits for others to join its call."""


class Meme(NamedTuple):
    """What a client sent: a picture file, a caption, or both."""

    picture: bytes | None
    caption: str


class QueueFullError(Exception):
    """More memes are waiting than allowed; try again later."""


class ClosedError(Exception):
    """The batcher takes no more memes."""


class Job(NamedTuple):
    """The memes of one request, and where their predictions go."""

    memes: list[Meme]
    answer: "Future[list[Prediction]]"


class Batcher:
    """A thread that predicts the memes of many requests, in the order of arrival.

    `predict` is Predictor.predict; `observe` is told the size of each batch.
    """

    def __init__(
        self,
        predict: "Callable[[list[bytes | None], list[str]], list[Prediction]]",
        observe: Callable[[int], object] = lambda size: None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._predict = predict
        self._observe = observe
        self._max_waiting = max_waiting
        self._jobs = deque[Job]()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of memes in the queue."""
        return self._waiting

    @property
    def ready(self) -> bool:
        """Whether memes are taken."""
        return self._thread.is_alive() and not self._closed

    def submit(self, memes: list[Meme]) -> "Future[list[Prediction]]":
        """Queue at most MAX_BATCH memes; the future holds their predictions, in the same order.

        Raises QueueFullError or ClosedError. Cancel the future if nobody needs the answer.
        """
        job = Job(memes, Future())
        with self._changed:
            if self._closed:
                raise ClosedError
            if self._waiting + len(memes) > self._max_waiting:
                raise QueueFullError
            self._jobs.append(job)
            self._waiting += len(memes)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            # A job whose client is gone was cancelled.
            if jobs := [job for job in batch if job.answer.set_running_or_notify_cancel()]:
                self._answer(jobs)

    def _next_batch(self) -> list[Job]:
        """Wait for jobs; return as many as fit into a batch, none once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            self._changed.wait_for(lambda: self._waiting >= MAX_BATCH or self._closed, WINDOW)
            batch: list[Job] = []
            size = 0
            while self._jobs and (not batch or size + len(self._jobs[0].memes) <= MAX_BATCH):
                batch.append(self._jobs.popleft())
                size += len(batch[-1].memes)
            self._waiting -= size
            return batch

    def _answer(self, jobs: list[Job]) -> None:
        memes = [meme for job in jobs for meme in job.memes]
        try:
            self._observe(len(memes))
            pictures, captions = zip(*memes, strict=True)
            predictions = iter(self._predict(list(pictures), list(captions)))
            answers = [[next(predictions) for _ in job.memes] for job in jobs]
        except Exception as error:  # whatever fails, the thread goes on and every job is answered
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
                return
            # One request's memes must not spoil the answers of the others.
            for job in jobs:
                self._answer([job])
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.answer.set_result(answer)
