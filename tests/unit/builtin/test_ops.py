"""Core's own op providers keep the contract."""

from __future__ import annotations

from inferd.testing import OpsContract


class TestTorch(OpsContract):
    plugin = "builtin"
    provider = "torch"


class TestCpu(OpsContract):
    plugin = "builtin"
    provider = "cpu"
    cannot = {"float16"}
