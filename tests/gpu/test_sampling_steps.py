"""Sampling in steps: recorded, never compiled anew, never waiting for the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import triton
from drawn import CUDA, FILTERS, keys, logits, params
from hardware import PLATFORM, no_waiting

from inferd.params import SamplingParams
from inferd.sampling.columns import SampleStep, SamplingColumns
from inferd.sampling.sampler import Sampler
from inferd.testing.drive import installed_ops
from inferd.types import RowStart

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def ops():
    return installed_ops(PLATFORM, torch.bfloat16)


def test_recorded_draws_follow_their_inputs(ops) -> None:
    """What a graph was recorded with has no say: rows, filters and keys are read when it runs."""
    rows = 16
    x_NV, p, (keys_N, positions_N) = logits(rows), params(rows, *FILTERS["mixed"]), keys(rows)
    ops.draw_filtered(x_NV, p, keys_N, positions_N)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _, ids_N = ops.draw_filtered(x_NV, p, keys_N, positions_N)
    for seed, spread in ((1, 3.0), (2, 0.02)):
        x_NV.copy_(logits(rows, spread, seed))
        keys_N.copy_(keys(rows, seed)[0])
        p.top_k_N.copy_(p.top_k_N.roll(1))
        graph.replay()
        _, expected_N = ops.draw_filtered(x_NV, p, keys_N, positions_N)
        assert torch.equal(ids_N, expected_N)


def test_no_number_of_rows_compiles_anew(ops) -> None:
    def run(rows: int, name: str) -> None:
        x_NV, p, (keys_N, _) = logits(rows), params(rows, *FILTERS[name]), keys(rows)
        positions_N = torch.stack((keys_N, torch.arange(rows, device=CUDA)))[1]  # as in SampleStep
        ops.argmax(x_NV)
        ops.draw(x_NV, p.temperature_N, keys_N, positions_N)
        ops.draw_filtered(x_NV, p, keys_N, positions_N)
        ops.top_logprobs(x_NV, positions_N, 5)

    for name in ("usual", "mixed"):  # every row has a top_k, or not
        run(4, name)
    compiled: list[str] = []
    hook = triton.knobs.runtime.jit_post_compile_hook
    triton.knobs.runtime.jit_post_compile_hook = lambda **told: compiled.append(str(told))
    try:
        for rows in (1, 2, 3, 16, 33, 64):
            run(rows, "usual")
            run(rows, "mixed")
    finally:
        triton.knobs.runtime.jit_post_compile_hook = hook
    assert not compiled


WAYS = {
    "greedy": {},
    "drawn": {"temperature": 0.8, "seed": 1},
    "filtered": {"temperature": 0.8, "top_k": 50, "top_p": 0.95},
    "top_p": {"temperature": 0.8, "top_p": 0.95},
    "penalties": {"repetition_penalty": 1.2, "presence_penalty": 0.3, "frequency_penalty": 0.1},
    "biased": {"logit_bias": {5: 2.0}, "min_tokens": 3},
    "allowed": {"allowed_token_ids": [4, 5, 6]},
    "logprobs": {"logprobs": 5},
}


@pytest.mark.parametrize("names", [*([name] for name in WAYS), list(WAYS)], ids="+".join)
def test_sampling_never_waits_for_the_device(ops, names: list[str]) -> None:
    """A batch of each, and one of all."""
    columns = SamplingColumns(16, CUDA)
    history_RL = torch.zeros(16, 64, dtype=torch.int32, device=CUDA)
    sampler = Sampler(columns, history_RL, ops)
    for row, name in enumerate(names * 2):
        made = SamplingParams(**WAYS[name])
        bad = [[9], [1, 2, 3]] if name == "biased" else []
        start = RowStart(row, 1, "r", 0, [1, 2, 3], [], made, row, [2], bad, [[]])
        columns.write([start])
        sampler.admit(start)
    rows = np.arange(len(names) * 2)
    x_NV = logits(len(rows))
    for ends in (3, 4):
        step = SampleStep.of(rows, np.full(len(rows), ends), CUDA)
        expected = sampler.sample(x_NV.clone(), step)
    torch.cuda.synchronize()
    with no_waiting():
        step = SampleStep.of(rows, np.full(len(rows), 4), CUDA)
        sampled = sampler.sample(x_NV.clone(), step)
    assert torch.equal(sampled.ids_N, expected.ids_N)
