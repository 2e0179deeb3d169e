"""A step as a graph records it: padded, and with no lengths that the host could read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.testing.attention_cases import AttentionCase
from inferd.testing.attention_step import Step
from inferd.testing.numbers import check_close
from inferd.types import Batch
from inferd_attention_triton import backend as backend_module
from inferd_attention_triton.backend import TritonAttention
from inferd_attention_triton.kernels import launch

CPU = torch.device("cpu")


def padded(batch: Batch, rows: int, tokens: int) -> Batch:
    """One token for each spare row, or all tokens for the first of them."""
    spare, left = rows - batch.num_rows, tokens - batch.num_tokens
    counts = [1] * spare if spare == left else [left, *[0] * (spare - 1)]
    more = torch.tensor(counts, dtype=torch.int32)
    starts_R1 = batch.query_starts_R1
    return replace(
        batch,
        num_tokens=tokens,
        num_rows=rows,
        num_decodes=rows,
        query_lens=[],
        context_lens=[],
        query_starts_R1=torch.cat([starts_R1, starts_R1[-1] + more.cumsum(0).int()]),
        contexts_R=torch.cat([batch.contexts_R, more]),
        block_tables_RB=[
            torch.nn.functional.pad(t, (0, 5, 0, spare)) for t in batch.block_tables_RB
        ],
    )


@pytest.mark.parametrize("window", [None, 24])
@pytest.mark.parametrize(
    ("mixture", "rows", "tokens"), [("decodes", 8, 8), ("mixed", 16, 128), ("many", 64, 96)]
)
def test_padding_changes_nothing(mixture: str, rows: int, tokens: int, window: int | None) -> None:
    case = AttentionCase(rows=mixture, window=window)
    step, backend = Step(case, CPU), TritonAttention()
    caches = step.fill(backend, 0)
    q_THE = step.queries(0)
    spare_THE = torch.zeros(tokens - len(q_THE), *q_THE.shape[1:])
    plan = backend.plan(padded(step.batch, rows, tokens), 1, step.spec, case.block_size)
    out_THE = backend.forward(torch.cat([q_THE, spare_THE]), *caches, plan, step.params)
    check_close(case, out_THE[: len(q_THE)], step.expected(0), case.dtype)


def test_a_row_without_keys_gives_zeros() -> None:
    step, backend = Step(AttentionCase(rows="decodes"), CPU), TritonAttention()
    caches = step.fill(backend, 0)
    step.batch.contexts_R[2] = 0
    plan = backend.plan(step.batch, 1, step.spec, 16)
    out_THE = backend.forward(step.queries(0), *caches, plan, step.params)
    assert torch.equal(out_THE[2], torch.zeros_like(out_THE[2]))
    check_close("the others", out_THE[3:], step.expected(0)[3:], "float32")


def test_programs_that_merge_take_several_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MERGERS", 2)
    monkeypatch.setattr(backend_module, "device_of", lambda _: ("interpreter", 8))
    step, backend = Step(AttentionCase(rows="decodes"), CPU), TritonAttention()
    caches = step.fill(backend, 0)
    plan = backend.plan(step.batch, 1, step.spec, 16)
    found_THE = backend.forward(step.queries(0), *caches, plan, step.params)
    work = plan.for_heads(step.params.num_heads).work
    assert int(work[0, 1]) == 3, "three rows are cut"
    check_close("decodes", found_THE, step.expected(0), "float32")
