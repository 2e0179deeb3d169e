"""A front end lets only grammars through that compile, in time and in bounded memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from inferd.config.engine import EngineConfig
from inferd.engine.grammar_gate import GrammarGate
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs

pytestmark = pytest.mark.anyio
FAKE = str(Path(__file__).parent / "fake_grammars.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def make() -> AsyncIterator[Callable[[float], GrammarGate]]:
    made = []

    def gate(seconds: float) -> GrammarGate:
        command = (sys.executable, FAKE, str(seconds))
        made.append(GrammarGate(EngineConfig.of("none"), 10, ["slow", "none"], command))
        return made[-1]

    yield gate
    for each in made:
        await each.stop()


async def refusal_of(gate: GrammarGate, wanted: StructuredOutputs) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await gate.check(wanted)
    assert caught.value.param == "structured_outputs"
    return caught.value


async def test_what_is_let_through_and_what_is_not(make: Callable[[float], GrammarGate]) -> None:
    gate = make(60)
    await gate.check(StructuredOutputs(regex="yes"))
    for wanted, text, code in (
        (StructuredOutputs(regex="no"), "cannot be enforced", "invalid_request"),
        (
            StructuredOutputs(regex="broken"),
            "the grammar back end failed: ZeroDivisionError",
            "server_error",
        ),
        (
            StructuredOutputs(regex="a", backend="none"),
            "structured outputs: no grammar back end fits",
            "invalid_request",
        ),
        (
            StructuredOutputs(regex="much"),
            "structured_outputs: the grammar takes too much to compile; ask for less",
            "grammar_too_complex",
        ),
    ):
        refused = await refusal_of(gate, wanted)
        assert (str(refused), refused.code) == (text, code)
    await gate.check(StructuredOutputs(regex="yes after all"))


async def test_refusals_are_remembered(
    make: Callable[[float], GrammarGate], tmp_path: Path
) -> None:
    gate, file = make(60), tmp_path / "noted"
    for _ in range(3):
        refused = await refusal_of(gate, StructuredOutputs(regex=f"note it in {file}"))
        assert str(refused) == "cannot be enforced"
    assert file.read_text() == "asked\n"


async def test_one_that_does_not_end_is_ended(
    make: Callable[[float], GrammarGate], tmp_path: Path
) -> None:
    gate = make(0.05)
    refused = await refusal_of(gate, StructuredOutputs(regex=str(tmp_path / "never")))
    assert "did not compile within" in str(refused)
    await gate.check(StructuredOutputs(regex="yes"))


async def test_a_slow_back_end_holds_up_nobody_elses(
    make: Callable[[float], GrammarGate], tmp_path: Path
) -> None:
    gate, file = make(60), tmp_path / "waits"
    slow = StructuredOutputs(regex=str(file), backend="slow")
    waiting = [asyncio.create_task(gate.check(slow)) for _ in range(2)]
    while not file.exists():
        await asyncio.sleep(0.01)
    await gate.check(StructuredOutputs(regex="yes"))
    assert not any(task.done() for task in waiting)
    file.unlink()
    await asyncio.gather(*waiting)  # the second asks nobody: it would wait for ever
    assert not file.exists()


async def test_a_client_that_leaves_takes_its_compile_along(
    make: Callable[[float], GrammarGate], tmp_path: Path
) -> None:
    gate, file = make(60), tmp_path / "waits"
    waiting = asyncio.create_task(gate.check(StructuredOutputs(regex=str(file))))
    while not file.exists():
        await asyncio.sleep(0.01)
    waiting.cancel()
    refused = await refusal_of(gate, StructuredOutputs(regex="no"))  # the answer is its own
    assert str(refused) == "cannot be enforced"


async def test_who_waits_too_long_for_others_is_told(
    make: Callable[[float], GrammarGate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, file = make(60), tmp_path / "waits"
    waiting = asyncio.create_task(gate.check(StructuredOutputs(regex=str(file))))
    while not file.exists():
        await asyncio.sleep(0.01)
    monkeypatch.setattr("inferd.engine.grammar_gate.WAIT_S", 0.01)
    refused = await refusal_of(gate, StructuredOutputs(regex="yes"))
    assert refused.code == "queue_full"
    file.unlink()
    await waiting
