"""Which back end compiles: the request's, else the operator's, else the best."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fakes import HashExecutor, fake_host

from inferd.config.engine import EngineConfig
from inferd.contracts.grammar import GrammarBackend
from inferd.engine.engine import Engine
from inferd.engine.grammar_compiler import Backends
from inferd.errors import PluginError, RequestError
from inferd.plugin.registry import Registry


class Made(Registry[GrammarBackend]):
    """Makes the name of what it should make, and remembers how often."""

    def __init__(self) -> None:
        super().__init__("grammar back end")
        self.made: list[Any] = []
        self.add("best", "inferd.contracts.grammar:GrammarBackend", priority="tuned")
        self.add("other", "inferd.contracts.grammar:Grammar")

    def make(self, implementation: Any, *args: Any, by: str = "") -> Any:
        self.made.append(implementation.__name__)
        return implementation.__name__


@pytest.fixture
def registry() -> Made:
    return Made()


def backends(registry: Made, monkeypatch: Any, **options: Any) -> Backends:
    monkeypatch.setattr(Backends, "_vocabulary", lambda _: None)
    host: Any = SimpleNamespace(catalog=SimpleNamespace(grammars=registry))
    return Backends(host, EngineConfig.of("none", **options), 8)


def test_the_request_goes_before_the_operator_and_the_best(
    registry: Made, monkeypatch: Any
) -> None:
    assert backends(registry, monkeypatch).get(None) == "GrammarBackend"
    operators = backends(registry, monkeypatch, grammar_backend="other")
    assert (operators.get(None), operators.get("best")) == ("Grammar", "GrammarBackend")


def test_each_is_made_once(registry: Made, monkeypatch: Any) -> None:
    found = backends(registry, monkeypatch)
    for name in (None, "best", "other", "other", None):
        found.get(name)
    assert registry.made == ["GrammarBackend", "Grammar"]


def test_a_name_that_nobody_offers_is_the_requests_error(registry: Made, monkeypatch: Any) -> None:
    with pytest.raises(RequestError, match="did you mean 'other'") as caught:
        backends(registry, monkeypatch).get("othr")
    assert caught.value.param == "structured_outputs"


def test_an_operators_wrong_name_is_said_at_once(registry: Made) -> None:
    host = fake_host(HashExecutor)
    host.catalog.grammars = registry
    with pytest.raises(PluginError, match="did you mean 'best'"):
        Engine(EngineConfig.of("none", grammar_backend="bset"), host)
