"""OpsContract: whatever ops a provider offers give what their formulas give."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import pytest
import torch

from inferd.contracts.ops import OpProvider, OpRequest, Ops
from inferd.contracts.verdict import Verdict
from inferd.testing.cannot import check_words, judge, require
from inferd.testing.numbers import DTYPES
from inferd.testing.one_thread import OneThread
from inferd.testing.ops_checks import CHECKS, offered
from inferd.testing.plugin_contract import PluginContract, implementation, registry


class OpsContract(OneThread, PluginContract):
    """Each offered op in each dtype, over token counts, sizes and cache layouts.

        class TestContract(OpsContract):
            plugin = "ops_triton"
            provider = "triton"
            cannot = {"float16"}       # supports() must say no to these dtypes

    `platform` is the one to ask about ("cpu" unless said), `device` where tensors are made.
    Linears are checked for `dense` and every format of `inferd.contracts.weight_formats`.
    """

    provider: ClassVar[str]
    cannot: ClassVar[Collection[str]] = frozenset()
    platform: ClassVar[str] = "cpu"
    device: ClassVar[str] = "cpu"

    def implementation(self) -> type[OpProvider]:
        """What is tested: the registered class."""
        kind: type[OpProvider] = implementation(self.plugin, "ops", self.provider)
        return kind

    def _make(self) -> OpProvider:
        made: OpProvider = registry(self.plugin, "ops").make(self.implementation())
        return made

    def test_name_is_the_registered_one(self) -> None:
        assert self.implementation().name == self.provider

    def test_cannot_is_understood(self) -> None:
        check_words(self.cannot, DTYPES)

    def test_offers_ops_that_exist(self) -> None:
        fields = set(Ops.__dataclass_fields__)
        for dtype in DTYPES.keys() - self.cannot:
            names = set(self._make().ops(self._request(dtype)))
            assert names, f"offers nothing for {dtype}"
            assert names <= fields, f"offers {sorted(names - fields)}; known: {sorted(fields)}"
            rope = names & {"prepare_rope", "rope_kv_write"}
            assert len(rope) != 1, f"offers {rope} alone: what one makes only the other understands"

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("op", CHECKS)
    def test_agrees_with_the_reference(self, op: str, dtype: str) -> None:
        judge(f"{op} in {dtype}", {dtype}, self.cannot, lambda: self._attempt(op, dtype))

    def _attempt(self, op: str, dtype: str) -> None:
        request = self._request(dtype)
        verdict = self.implementation().supports(request)
        assert isinstance(verdict, Verdict), f"supports() returned {verdict!r}, not a Verdict"
        require(verdict)
        ops = self._make().ops(request)
        if offered(op, ops):
            CHECKS[op](ops, dtype, torch.device(self.device))

    def _request(self, dtype: str) -> OpRequest:
        return OpRequest(self.platform, "test", DTYPES[dtype])
