"""Fits run side by side, and nothing about their results tells."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from heads.fitting.parallel_fits import in_threads
from heads.mlp import MlpHead


def test_results_come_in_the_order_of_the_jobs(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    meet = threading.Barrier(3, timeout=10)

    def work(job):
        meet.wait()
        return job**2

    assert in_threads(work, range(9)) == [job**2 for job in range(9)]


def test_no_job_has_threads_of_its_own():
    def threads(job):
        return {pool["num_threads"] for pool in threadpool_info()}

    before = threadpool_info()
    assert set().union(*in_threads(threads, range(8))) == {1}
    assert threadpool_info() == before


def test_what_a_job_raises_is_raised():
    def work(job):
        raise KeyError("job 3")

    with pytest.raises(KeyError, match="job 3"):
        in_threads(work, range(2))


def test_a_network_fitted_beside_others_is_the_one_fitted_alone():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 8)).astype(np.float32), rng.integers(0, 2, 300)

    def fit(seed):
        return MlpHead(4, seed, epochs=3).fit(X, y).predict_proba(X)

    together = in_threads(fit, [0, 1, 2, 3])
    for seed, found in enumerate(together):
        np.testing.assert_array_equal(found, fit(seed))
    assert (together[0] != together[1]).any()
