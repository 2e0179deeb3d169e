"""PUBLIC: the conformance kit. What a plugin's author writes tests with; see each contract.

    from inferd.testing import QuantizationContract

    class TestContract(QuantizationContract):
        plugin = "awq"
        method = "awq"
        cannot = {"bias"}

Needs pytest; torch and transformers are imported by the tests that compare numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferd.testing.attention_contract import AttentionContract
    from inferd.testing.grammar_contract import GrammarContract
    from inferd.testing.loader_contract import LoaderContract
    from inferd.testing.model_contract import ModelContract
    from inferd.testing.ops_contract import OpsContract
    from inferd.testing.parser_contract import ParserContract
    from inferd.testing.platform_contract import PlatformContract
    from inferd.testing.plugin_contract import PluginContract
    from inferd.testing.quantization_contract import QuantizationContract

_LAZY = {
    "AttentionContract": "inferd.testing.attention_contract",
    "GrammarContract": "inferd.testing.grammar_contract",
    "LoaderContract": "inferd.testing.loader_contract",
    "ModelContract": "inferd.testing.model_contract",
    "OpsContract": "inferd.testing.ops_contract",
    "ParserContract": "inferd.testing.parser_contract",
    "PlatformContract": "inferd.testing.platform_contract",
    "PluginContract": "inferd.testing.plugin_contract",
    "QuantizationContract": "inferd.testing.quantization_contract",
}
__all__ = [
    "AttentionContract",
    "GrammarContract",
    "LoaderContract",
    "ModelContract",
    "OpsContract",
    "ParserContract",
    "PlatformContract",
    "PluginContract",
    "QuantizationContract",
]


def __getattr__(name: str) -> Any:
    """Import a contract on first use: a plugin's own tests pay only for what they inherit."""
    if name not in _LAZY:
        raise AttributeError(f"module 'inferd.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
