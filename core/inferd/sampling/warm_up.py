"""Calls every op of the sampler once in each way that batches will, before any request comes.

A provider may compile a kernel when it is first called; a request would wait for it, and a
compilation after this is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from inferd.contracts.ops import Ops
from inferd.contracts.sampling_ops import FilterParams
from inferd.params import MAX_LOGPROBS

ROWS = 2


def warm_up(ops: Ops, vocab_size: int, dtype: torch.dtype, device: torch.device) -> None:
    """Logits come as the model makes them, and in float32 once something has changed them."""
    for kind in dict.fromkeys((dtype, torch.float32)):
        for call in _calls(ops, vocab_size, kind, device):
            call()


def _calls(
    ops: Ops, vocab_size: int, dtype: torch.dtype, device: torch.device
) -> Iterator[Callable[[], object]]:
    logits_NV = torch.zeros(ROWS, vocab_size, dtype=dtype, device=device)
    floats_NF = torch.full((ROWS, 3), 0.5, device=device)
    temperature_N, top_p_N, min_p_N = floats_NF.unbind(1)
    ints_NI = torch.ones(ROWS, 3, dtype=torch.int64, device=device)
    keys_N, top_k_N, positions_N = ints_NI[:, 0], ints_NI[:, 1], ints_NI[:, 2].contiguous()
    words_NW = torch.full((ROWS, -(-vocab_size // 32)), -1, dtype=torch.int32, device=device)
    yield partial(ops.mask, logits_NV, words_NW, torch.arange(ROWS, device=device))
    yield partial(ops.argmax, logits_NV)
    yield partial(ops.draw, logits_NV, temperature_N, keys_N, positions_N)
    for unbounded in (False, True):
        params = FilterParams(
            temperature_N, top_k_N, top_p_N, min_p_N, most_k=1, unbounded=unbounded
        )
        yield partial(ops.draw_filtered, logits_NV, params, keys_N, positions_N)
    for most in (1, MAX_LOGPROBS):
        yield partial(ops.top_logprobs, logits_NV, positions_N, min(most, vocab_size))
