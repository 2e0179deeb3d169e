"""A front end lets only grammars through that compile, and in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from inferd.config.engine import EngineConfig
from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher
from inferd.engine.async_engine import AsyncEngine
from inferd.engine.grammar_compiler import GrammarCompiler
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs

pytestmark = pytest.mark.anyio


class Backend(GrammarBackend):
    """Compiles nothing: waits, refuses, or breaks."""

    name = "fake"

    def __init__(self) -> None:
        self.gate = threading.Event()

    def compile(self, wanted: StructuredOutputs) -> Grammar:
        if wanted.regex == "slow":
            self.gate.wait(10)
        if wanted.regex == "no":
            raise RequestError("cannot be enforced", "structured_outputs")
        if wanted.regex == "broken":
            raise ZeroDivisionError("secret")
        return Any  # type: ignore[return-value]

    def fill(self, matchers: Sequence[Matcher], words_NW: Any) -> None: ...


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
async def engine(backend: Backend) -> AsyncIterator[AsyncEngine]:
    made = AsyncEngine(EngineConfig.of("none"))
    made._compiler = GrammarCompiler(lambda _: backend)
    yield made
    backend.gate.set()
    await made.stop(0)


async def test_what_compiles_is_let_through(engine: AsyncEngine) -> None:
    await engine._check_grammar(StructuredOutputs(regex="yes"))


async def test_a_slow_back_end_holds_up_nobody_elses(engine: AsyncEngine) -> None:
    slow, other = Backend(), Backend()
    engine._compiler = GrammarCompiler({"slow": slow, None: other}.__getitem__, ["slow"])
    waiting = asyncio.create_task(
        engine._check_grammar(StructuredOutputs(regex="slow", backend="slow"))
    )
    await asyncio.sleep(0)
    await engine._check_grammar(StructuredOutputs(regex="yes"))
    assert not waiting.done()
    slow.gate.set()
    await waiting


async def test_what_takes_too_long_is_refused(engine: AsyncEngine, monkeypatch: Any) -> None:
    monkeypatch.setattr("inferd.engine.async_engine.COMPILE_S", 0.01)
    with pytest.raises(RequestError, match="did not compile within") as caught:
        await engine._check_grammar(StructuredOutputs(regex="slow"))
    assert caught.value.param == "structured_outputs"


@pytest.mark.parametrize(
    ("regex", "text", "code"),
    [
        ("no", "cannot be enforced", "invalid_request"),
        ("broken", "the grammar back end failed: ZeroDivisionError", "server_error"),
    ],
)
async def test_what_fails_is_told(engine: AsyncEngine, regex: str, text: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        await engine._check_grammar(StructuredOutputs(regex=regex))
    assert (str(caught.value), caught.value.code) == (text, code)


async def test_a_back_end_that_cannot_be_loaded_is_told(
    engine: AsyncEngine, monkeypatch: Any
) -> None:
    def load(_: str | None) -> GrammarBackend:
        raise RequestError("structured outputs: no grammar back end fits", "structured_outputs")

    assert engine._compiler is not None
    monkeypatch.setattr(engine._compiler, "_backend", load)
    with pytest.raises(RequestError, match="no grammar back end fits"):
        await engine._check_grammar(StructuredOutputs(regex="yes"))
