"""AttentionContract catches planted bugs, undeclared refusals and stale declarations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import fails, failures

from inferd.builtin.attention_torch import TorchAttention
from inferd.contracts.verdict import YES, no
from inferd.testing import AttentionContract
from inferd.testing.attention_cases import CASES
from inferd.testing.one_thread import OneThread

MIXED = [case for case in CASES if case.rows == "mixed"]


class Scale(TorchAttention):
    def forward(self, q, k, v, plan, params):
        return super().forward(q, k, v, plan, replace(params, scale=params.scale * 1.1))


class NoSoftCap(TorchAttention):
    def forward(self, q, k, v, plan, params):
        return super().forward(q, k, v, plan, replace(params, soft_cap=None))


class WindowOffByOne(TorchAttention):
    def plan(self, batch, group, spec, block_size):
        window = None if spec.window is None else spec.window + 1
        return super().plan(batch, group, replace(spec, window=window), block_size)


class NoWindow(TorchAttention):
    def plan(self, batch, group, spec, block_size):
        return super().plan(batch, group, replace(spec, window=None), block_size)


class FirstGroup(TorchAttention):
    def plan(self, batch, group, spec, block_size):
        return super().plan(batch, 0, spec, block_size)


class HeadsInterleaved(TorchAttention):
    """Query head h reads KV head h % G instead of h // (H / G)."""

    def forward(self, q, k, v, plan, params):
        kv_heads = params.spec.num_kv_heads
        order = torch.arange(params.num_heads).view(kv_heads, -1).T.reshape(-1)
        out = super().forward(q[:, order.argsort()], k, v, plan, params)
        return out[:, order]


class ReadsPastTheEnd(TorchAttention):
    def plan(self, batch, group, spec, block_size):
        lengths = enumerate(batch.context_lens)
        longer = [length + (row < batch.num_decodes) for row, length in lengths]
        return super().plan(replace(batch, context_lens=longer), group, spec, block_size)


class SharesTooMuch(TorchAttention):
    """Takes rows that begin with the same block for rows with the same blocks."""

    def plan(self, batch, group, spec, block_size):
        tables = batch.block_tables_RB[group].clone()
        same = (tables[:, 0] == tables[0, 0]).nonzero().flatten()[1:]
        tables[same, :4] = tables[0, :4].clone()
        changed = [*batch.block_tables_RB[:group], tables]
        return super().plan(replace(batch, block_tables_RB=changed), group, spec, block_size)


class FirstLayersCache(TorchAttention):
    """A plan that remembers a layer's cache."""

    def forward(self, q, k, v, plan, params):
        plan.order_R.cache = getattr(plan.order_R, "cache", (k, v))
        return super().forward(q, *plan.order_R.cache, plan, params)


class OtherDtype(TorchAttention):
    def forward(self, q, k, v, plan, params):
        return super().forward(q, k, v, plan, params).float()


class NoBfloat16(TorchAttention):
    @classmethod
    def supports(cls, request):
        return no("no bfloat16") if request.dtype is torch.bfloat16 else YES


class Planted(AttentionContract):
    plugin = "builtin"
    backend = "torch"

    def __init__(self, kind, cannot=frozenset()):
        self._kind = kind
        self.cannot = cannot

    def implementation(self):
        return self._kind

    def failing(self):
        return failures(self.test_agrees_with_the_reference, MIXED)


class TestPlanted(OneThread):
    @pytest.mark.parametrize(
        "kind",
        [
            Scale,
            NoSoftCap,
            WindowOffByOne,
            NoWindow,
            FirstGroup,
            HeadsInterleaved,
            ReadsPastTheEnd,
            SharesTooMuch,
            FirstLayersCache,
            OtherDtype,
        ],
    )
    def test_a_wrong_backend_fails(self, kind):
        assert fails(Planted(kind).test_agrees_with_the_reference, CASES)

    def test_the_right_one_passes_and_an_honest_refusal_needs_a_declaration(self):
        assert not Planted(TorchAttention).failing()
        assert not Planted(NoBfloat16, cannot={"bfloat16"}).failing()
        undeclared = Planted(NoBfloat16).failing()
        assert undeclared.keys() == {str(case) for case in MIXED if case.dtype == "bfloat16"}
        assert all("does not declare" in message for message in undeclared.values())

    def test_a_declared_word_that_works_is_reported(self):
        assert all(
            "works, although `cannot` declares window" in message
            for message in Planted(TorchAttention, cannot={"window"}).failing().values()
        )

    def test_a_declared_word_that_fails_instead_of_being_refused_is_reported(self):
        found = Planted(NoSoftCap, cannot={"soft_cap"}).failing()
        assert any("instead of refusing it fails" in message for message in found.values())

    def test_a_misspelt_word_is_reported(self):
        with pytest.raises(AssertionError, match=r"sof_cap\n.*soft_cap"):
            Planted(TorchAttention, cannot={"sof_cap"}).test_cannot_is_understood()
