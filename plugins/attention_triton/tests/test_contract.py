"""Paged attention in Triton keeps the contract, on a CPU in Triton's interpreter."""

from __future__ import annotations

from inferd.testing import AttentionContract


class TestContract(AttentionContract):
    plugin = "attention_triton"
    backend = "triton"
