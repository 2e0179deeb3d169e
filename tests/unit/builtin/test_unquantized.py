"""Dense weights keep the contract."""

from __future__ import annotations

from inferd.testing import QuantizationContract


class TestContract(QuantizationContract):
    plugin = "builtin"
    method = "unquantized"
