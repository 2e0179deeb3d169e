"""Core's own attention backend keeps the contract; nothing is out of its reach."""

from __future__ import annotations

from inferd.testing import AttentionContract


class TestContract(AttentionContract):
    plugin = "builtin"
    backend = "torch"
