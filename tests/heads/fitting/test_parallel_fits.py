"""Parallel fits give the same results as sequential ones."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from heads.fitting.parallel_fits import map_in_threads
from heads.mlp import MlpHead


def test_results_are_in_the_order_of_the_tasks(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    barrier = threading.Barrier(3, timeout=10)

    def square(number):
        barrier.wait()
        return number**2

    assert map_in_threads(square, range(9)) == [number**2 for number in range(9)]


def test_libraries_use_one_thread_per_task():
    def threads(task):
        return {pool["num_threads"] for pool in threadpool_info()}

    before = threadpool_info()
    assert set().union(*map_in_threads(threads, range(8))) == {1}
    assert threadpool_info() == before


def test_error_of_a_task_is_raised():
    def fail(task):
        raise KeyError("task 3")

    with pytest.raises(KeyError, match="task 3"):
        map_in_threads(fail, range(2))


def test_network_fitted_in_parallel_equals_the_one_fitted_alone():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 8)).astype(np.float32), rng.integers(0, 2, 300)

    def fit(seed):
        return MlpHead(4, seed, epochs=3).fit(X, y).predict_proba(X)

    parallel = map_in_threads(fit, [0, 1, 2, 3])
    for seed, found in enumerate(parallel):
        np.testing.assert_array_equal(found, fit(seed))
    assert (parallel[0] != parallel[1]).any()
