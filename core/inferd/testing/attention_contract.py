"""AttentionContract: any mixture of rows gives what the formula gives, whatever lies in the cache.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

import pytest
import torch

from inferd.contracts.attention import AttentionBackend
from inferd.contracts.verdict import Verdict
from inferd.testing.attention_cases import (
    ALIBI_CASES,
    CASES,
    LATENT_CASES,
    NARROW_CASES,
    SINK_CASES,
    AttentionCase,
)
from inferd.testing.attention_step import Step
from inferd.testing.cannot import check_words, judge, require
from inferd.testing.numbers import check_close
from inferd.testing.one_thread import OneThread
from inferd.testing.plugin_contract import PluginContract, implementation, registry


class AttentionContract(OneThread, PluginContract):
    """Every dtype, block size, GQA ratio, window, soft cap and mixture of rows.

        class TestContract(AttentionContract):
            plugin = "attention_triton"
            backend = "triton"
            cannot = {"float16", "soft_cap", "head_dim=80"}   # supports() must say no to these

    `platform` is the one to ask about ("cpu" unless said), `device` where tensors are made.
    """

    backend: ClassVar[str]
    cannot: ClassVar[Collection[str]] = frozenset()
    platform: ClassVar[str] = "cpu"
    device: ClassVar[str] = "cpu"

    def implementation(self) -> type[AttentionBackend]:
        """What is tested: the registered class."""
        kind: type[AttentionBackend] = implementation(self.plugin, "attention", self.backend)
        return kind

    def _make(self) -> AttentionBackend:
        made: AttentionBackend = registry(self.plugin, "attention").make(self.implementation())
        return made

    def test_name_is_the_registered_one(self) -> None:
        assert self.implementation().name == self.backend

    def test_cannot_is_understood(self) -> None:
        check_words(self.cannot, {word for case in CASES for word in case.words})

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_agrees_with_the_reference(self, case: AttentionCase) -> None:
        judge(case, case.words, self.cannot, lambda: self._attempt(case))

    def test_agrees_with_the_reference_with_alibi(self) -> None:
        """Asked of those that say they have it."""
        self._ask(ALIBI_CASES if self.implementation().alibi else ())

    def test_agrees_with_the_reference_with_sinks(self) -> None:
        """Asked as with ALiBi."""
        self._ask(SINK_CASES if self.implementation().sinks else ())

    def test_agrees_with_the_reference_over_latents(self) -> None:
        """Asked as with ALiBi."""
        self._ask(LATENT_CASES if self.implementation().latent else ())

    def test_agrees_with_the_reference_over_a_cache_of_8_bits(self) -> None:
        """Asked as with ALiBi."""
        self._ask(NARROW_CASES if self.implementation().narrow_cache else ())

    def test_agrees_with_the_reference_over_blocks_that_lie_apart(self) -> None:
        """Asked of those that say `strided_blocks`: other layers' pages lie between them."""
        if self.implementation().strided_blocks:
            self._attempt(AttentionCase(), apart=3)

    def _ask(self, cases: Sequence[AttentionCase]) -> None:
        """Without those that need what it cannot: sizes of heads and groups are other ones here."""
        for case in cases:
            if case.dtype not in self.cannot and f"block_size={case.block_size}" not in self.cannot:
                self._attempt(case)

    def _attempt(self, case: AttentionCase, apart: int = 1) -> None:
        verdict = self.implementation().supports(case.request(self.platform))
        assert isinstance(verdict, Verdict), f"supports() returned {verdict!r}, not a Verdict"
        require(verdict)
        backend, step = self._make(), Step(case, torch.device(self.device))
        backend.prepare(case.request(self.platform))
        plan = backend.plan(step.batch, 1, step.spec, case.block_size)
        for layer in range(2):  # one plan serves all layers of a group
            k_BSGE, v_BSGE = step.fill(backend, layer, apart)
            q_THE = step.queries(layer)
            found_THE = backend.forward(q_THE.clone(), k_BSGE, v_BSGE, plan, step.params)
            assert found_THE.dtype == q_THE.dtype, f"{case}: returns {found_THE.dtype}"
            check_close(f"{case}, layer {layer}", found_THE, step.expected(layer), case.dtype)
