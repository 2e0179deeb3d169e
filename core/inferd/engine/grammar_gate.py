"""GrammarGate: grammars of clients are compiled in processes that may die of them.

A library cannot be interrupted while it compiles, which may take minutes or all of the memory. What
compiles within the limits is let through to the engine, which compiles it again.
"""

from __future__ import annotations

import signal
import sys
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from inferd.config.engine import EngineConfig
from inferd.engine.grammar_process import COMPILE_S, Refusal, Start
from inferd.engine.line_process import LineProcess
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs, too_complex

WAIT_S = 10.0  # for the grammars of others
MOST_KNOWN = 256  # answers remembered of each process, the least recently used goes first
COMMAND = (sys.executable, "-m", "inferd.engine.grammar_process")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Refusal | None).decode


class GrammarGate:
    """A process for the back end of each of `names`, so that a slow one holds up nobody else's, and
    one for requests that name none of them. Each starts with the first grammar that it compiles.
    """

    def __init__(
        self,
        config: EngineConfig,
        vocab_size: int,
        names: Iterable[str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        start = _encode(Start(config.model_dump_json(exclude_unset=True), vocab_size))
        self._doors = {name: _Door(command, start) for name in (None, *names)}

    async def check(self, wanted: StructuredOutputs) -> None:
        """Raises RequestError for what cannot be enforced, or not be compiled within the limits."""
        await self._doors.get(wanted.backend, self._doors[None]).check(wanted)

    async def stop(self) -> None:
        for door in self._doors.values():
            await door.stop()


class _Door:
    """One process at a time, which compiles one grammar at a time."""

    def __init__(self, command: Sequence[str], start: bytes) -> None:
        self._process = LineProcess(command, start + b"\n")
        self._known: OrderedDict[StructuredOutputs, Refusal | None] = OrderedDict()

    async def check(self, wanted: StructuredOutputs) -> None:
        if wanted not in self._known:
            text = "grammars of others are being compiled; try again in a moment"
            busy = RequestError(text, "structured_outputs", "queue_full")
            async with self._process.turn(WAIT_S, busy):
                if wanted not in self._known:
                    self._known[wanted] = await self._answer(wanted)
        self._known.move_to_end(wanted)
        refusal = self._known[wanted]
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        if refusal is not None:
            raise _error(refusal)

    async def _answer(self, wanted: StructuredOutputs) -> Refusal | None:
        """Raises RequestError for what may be another time: the process ended, or failed."""
        answer = await self._process.ask(_encode(wanted))
        if not answer:
            raise _refusal(await self._process.code())
        refusal: Refusal | None = _decode(answer)
        if refusal is not None and refusal.code == "server_error":
            raise _error(refusal)
        return refusal

    async def stop(self) -> None:
        await self._process.stop()


def _error(refusal: Refusal) -> RequestError:
    return RequestError(refusal.message, "structured_outputs", refusal.code)


def _refusal(code: int) -> RequestError:
    """What the end of the process says of the grammar."""
    why = "takes too much to compile"
    if code == -signal.SIGALRM:
        why = f"did not compile within {COMPILE_S:g} s"
    return too_complex(f"the grammar {why}; ask for less")
