"""What an author says about a model family, and the oracle's answer for each variant of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import pytest

from inferd.contracts.model import BuildContext, CausalLM
from inferd.testing.drive import build_context
from inferd.testing.one_thread import OneThread
from inferd.testing.oracle import Oracle, ask
from inferd.testing.plugin_contract import PluginContract, implementation
from inferd.testing.tiny import BASE

NULL = object()  # in `config` or a variant: the field is there, and null


class ModelVariants(OneThread, PluginContract):
    """The attributes of ModelContract; each test that takes `variant` runs once per variant."""

    architecture: ClassVar[str]
    oracle_architecture: ClassVar[str | None] = None  # transformers' class, where it has another
    config: ClassVar[Mapping[str, Any]]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"base": {}}
    mutations: ClassVar[Mapping[str, Any]] = {}
    inert: ClassVar[Collection[str]] = frozenset()
    cannot: ClassVar[Collection[str]] = frozenset()
    platform: ClassVar[str] = "cpu"
    length: ClassVar[int] = 96  # tokens of a prompt: more than any window and original length

    def implementation(self) -> type[CausalLM]:
        """What is tested: the registered class."""
        kind: type[CausalLM] = implementation(self.plugin, "models", self.architecture)
        return kind

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize("variant", list(self.variants))

    def oracle(self, variant: str) -> Oracle:
        merged = {**BASE, **self.config, **self.variants[variant]}
        present = {name: value for name, value in merged.items() if value is not None}
        config = {name: None if value is NULL else value for name, value in present.items()}
        oracle = self.oracle_architecture or self.architecture
        return ask(oracle, config | {"architectures": [self.architecture]}, self.length)

    def build(self, variant: str, hf: Mapping[str, Any]) -> BuildContext:
        """From `hf`, with what does not come from it as the variant has it."""
        vocab_size = self.oracle(variant).config["vocab_size"]
        return build_context(hf, max_model_len=self.length, vocab_size=vocab_size)
