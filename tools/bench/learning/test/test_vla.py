"""What the learner's bench measures still runs, at its smallest size."""

from __future__ import annotations

import torch

from tools.bench.learning import vla
from tools.bench.learning.rate import cost


def test_products_are_counted_forward_and_backward():
    w = torch.zeros(8, 4, requires_grad=True)
    found = cost(lambda: (torch.zeros(2, 8) @ w).sum().backward(), repeats=1)
    assert found.gflop * 1e9 == 2 * (2 * 2 * 8 * 4)


def test_an_update_and_its_data_can_be_measured():
    found = vla.update('tiny', batch_size=4, repeats=1)
    assert found.gflop > 0
    assert found.cpu_ms > 0
