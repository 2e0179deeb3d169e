"""Ops in Triton keep the contract, on a CPU in Triton's interpreter."""

from __future__ import annotations

from inferd.testing import OpsContract


class TestContract(OpsContract):
    plugin = "ops_triton"
    provider = "triton"
