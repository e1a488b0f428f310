"""Small batches: only where they give the bits of a full one, which is tried and not assumed."""

import numpy as np
import pytest
import torch

from extract.training.small_batches import embed_few

SIZE = 8


class Embedding:
    """Squares of items, plus an error for batches that `differ`; counts the calls by size."""

    def __init__(self, differ=()):
        self.differ, self.sizes = differ, []

    def __call__(self, items):
        self.sizes.append(len(items))
        error = 1e-6 if len(items) in self.differ else 0.0
        return torch.tensor(items, dtype=torch.float32)[:, None] ** 2 * (1 + error)


@pytest.mark.parametrize("count", range(1, SIZE + 1))
def test_the_second_batch_of_a_shape_is_compared_and_later_ones_are_small(count):
    compute, same_bits, items = Embedding(), {}, np.arange(1, count + 1)
    first, *later = (embed_few(compute, items, SIZE, "image", same_bits) for _ in range(3))
    assert all(torch.equal(first[:count], other[:count]) for other in later)
    small = {1: 1, 2: 2, 3: 4, 4: 4}.get(count, SIZE)
    assert compute.sizes == ([SIZE, SIZE, 1, 2, 4, small] if small < SIZE else [SIZE] * 3)


def test_where_the_bits_differ_all_batches_are_full():
    compute, same_bits = Embedding(differ=(2,)), {}
    full = Embedding()(np.array([3, 5]))
    for _ in range(4):
        assert torch.equal(embed_few(compute, np.array([3, 5]), SIZE, "image", same_bits)[:2], full)
    assert compute.sizes == [SIZE, SIZE, 1, 2, 4, SIZE, SIZE]
    assert same_bits == {"image": {1, 4}}


def test_each_shape_is_tried_on_its_own():
    compute, same_bits = Embedding(), {}
    for shape in ("8 tokens", "16 tokens", "8 tokens", "8 tokens"):
        embed_few(compute, np.array([1]), SIZE, shape, same_bits)
    assert compute.sizes == [SIZE, SIZE, SIZE, 1, 2, 4, 1]


def test_one_thread_computes_a_small_batch_and_all_threads_a_full_one():
    threads, default = [], torch.get_num_threads()

    def compute(items):
        threads.append(torch.get_num_threads())
        return torch.zeros(len(items), 1)

    same_bits = {"image": frozenset({1})}
    for count in (1, 5, 1):
        embed_few(compute, np.arange(count), SIZE, "image", same_bits)
    assert threads == [1, default, 1]
    assert torch.get_num_threads() == default
