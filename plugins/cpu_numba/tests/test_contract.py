"""The backend and the ops keep their contracts."""

from __future__ import annotations

from inferd.testing import AttentionContract, OpsContract


class TestAttention(AttentionContract):
    plugin = "cpu_numba"
    backend = "numba"
    cannot = {"float16", "soft_cap", "block_size=8", "gqa=71"}


class TestOps(OpsContract):
    plugin = "cpu_numba"
    provider = "numba"
    cannot = {"float16"}
