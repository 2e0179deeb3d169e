"""What the contract, which computes on one thread, does not see: work that is dealt to several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from inferd.contracts.ops import OpRequest
from inferd.testing.attention_cases import ROWS, AttentionCase
from inferd.testing.attention_step import Step
from inferd.testing.numbers import check_close
from inferd_cpu_numba.attention import NumbaAttention
from inferd_cpu_numba.ops import NumbaOps

ONE_LONG = AttentionCase(heads=9, kv_heads=3, rows="one long")
BENT = replace(ONE_LONG, alibi=True, soft_cap=20.0)
LATENT = AttentionCase(dtype="bfloat16", heads=32, kv_heads=1, head_dim=80, value_dim=64)
SUNK = AttentionCase(dtype="bfloat16", heads=17, kv_heads=1, sinks=True)  # items of 9 and of 8
CASES = [
    ONE_LONG,
    replace(ONE_LONG, dtype="bfloat16"),
    replace(ONE_LONG, window=700),
    replace(ONE_LONG, heads=2, kv_heads=2, rows="long among short"),
    replace(ONE_LONG, rows="long"),
    replace(ONE_LONG, rows="many"),
    *(replace(BENT, rows=rows) for rows in ("one long", "family", "mixed")),
    *(replace(LATENT, rows=rows) for rows in ("one long", "family", "mixed")),
    *(replace(SUNK, rows=rows) for rows in ("one long", "family", "mixed")),
]


@pytest.fixture(autouse=True)
def more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS, "one long", [(1, 2000)])
    monkeypatch.setitem(ROWS, "long among short", [(1, 9), (1, 1500), (1, 40), (20, 60)])


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def attend(case: AttentionCase):
    backend, step = NumbaAttention(), Step(case, torch.device("cpu"))
    backend.prepare(case.request("cpu"))
    k_BSGE, v_BSGE = step.fill(backend, 0)
    plan = backend.plan(step.batch, 1, step.spec, case.block_size)
    found_THE = backend.forward(step.queries(0), k_BSGE, v_BSGE, plan, step.params)
    (dealt,) = plan.plans.values()
    return dealt, found_THE, step.expected(0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_three_threads_give_what_the_formula_gives(threads, case):
    plan, found_THE, expected_THE = attend(case)
    assert plan.threads == 3
    check_close(case, found_THE, expected_THE, case.dtype)


@pytest.mark.usefixtures("other_products")
def test_slower_products_give_it_too(threads):
    test_three_threads_give_what_the_formula_gives(threads, replace(ONE_LONG, dtype="bfloat16"))


@pytest.mark.parametrize(
    ("rows", "split"), [("one long", True), ("long among short", True), ("many", False)]
)
def test_only_rows_that_would_keep_one_thread_are_dealt_in_parts(threads, rows, split):
    plan, _, _ = attend(replace(ONE_LONG, rows=rows))
    assert (plan.parts is not None) == split


def test_a_recorded_step_finds_rows_that_begin_alike(threads, monkeypatch):
    """When it was recorded, none did, and all were short."""
    monkeypatch.setitem(ROWS, "some", [(1, 600 + 9 * row) for row in range(12)])
    case = replace(ONE_LONG, rows="some")
    backend, step = NumbaAttention(), Step(case, torch.device("cpu"))
    backend.prepare(case.request("cpu"))
    k_BSGE, v_BSGE = step.fill(backend, 0)
    batch, q_THE, provider = step.batch, step.queries(0), NumbaOps()
    provider.ops(OpRequest("cpu", "any", torch.float32))

    def run():
        plan = backend.plan(batch, 1, step.spec, case.block_size)
        return (backend.forward(q_THE, k_BSGE, v_BSGE, plan, step.params),)

    contexts_R, table_RB = batch.contexts_R.clone(), batch.block_tables_RB[1]
    batch.contexts_R.fill_(5)
    recorded = provider.record(run)
    batch.contexts_R.copy_(contexts_R)
    apart = recorded.replay()[0].clone()
    check_close("rows apart", apart, step.expected(0), case.dtype)
    table_RB[2:9] = table_RB[2]
    (together,) = recorded.replay()
    (compiled,) = backend._compiled.values()
    plan = backend.plan(batch, 1, step.spec, case.block_size).plan(compiled)
    assert plan.work[0][0] is compiled._several
    assert not torch.equal(together, apart)
    check_close("rows that begin alike", together, run()[0], case.dtype)


def test_one_thread_deals_no_parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plan, _, _ = attend(ONE_LONG)
    finally:
        torch.set_num_threads(before)
    assert plan.threads == 1
    assert plan.parts is None


def test_layers_of_another_kind_are_compiled_when_they_run():
    """A model's attention is prepared for one of them."""
    backend, first = NumbaAttention(), replace(ONE_LONG, rows="mixed")
    backend.prepare(first.request("cpu"))
    for case in (first, replace(first, heads=17, kv_heads=1, sinks=True, dtype="float32")):
        step = Step(case, torch.device("cpu"))
        k_BSGE, v_BSGE = step.fill(backend, 0)
        plan = backend.plan(step.batch, 1, step.spec, case.block_size)
        for _ in range(2):
            found_THE = backend.forward(step.queries(0), k_BSGE, v_BSGE, plan, step.params)
            check_close(case, found_THE, step.expected(0), case.dtype)
    assert len(backend._compiled) == 2
