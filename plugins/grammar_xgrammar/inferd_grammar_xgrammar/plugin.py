"""Registers xgrammar as a back end of structured outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.grammar import GrammarBackend


@hookimpl
def inferd_register_grammars(registry: Registry[GrammarBackend]) -> None:
    registry.add(
        "xgrammar",
        "inferd_grammar_xgrammar.backend:XgrammarBackend",
        summary="JSON schemas, regular expressions, choices and Lark grammars, by xgrammar",
    )
