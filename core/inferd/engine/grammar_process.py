"""A process that compiles grammars, to see whether they can be: `python -m` this.

Standard input has a Start, a line of JSON, then a StructuredOutputs a line; standard output has a
line for each, a Refusal or null. Its end means that the one who asks is gone. A grammar that takes
too long ends the process: a timer's signal needs no Python to do so.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from inferd.config.engine import EngineConfig
from inferd.engine.grammar_bounds import check_bounds
from inferd.engine.grammar_compiler import Backends, as_request_error
from inferd.errors import RequestError
from inferd.host.host import Host
from inferd.structured_outputs import StructuredOutputs

COMPILE_S = 2.0  # for one grammar; that its back end is loaded first is not its fault
MEMORY_BYTES = 4 << 30  # for everything, where the system enforces it (Linux)


class Start(msgspec.Struct):
    """What the process is told first."""

    config: str  # EngineConfig as JSON
    vocab_size: int


class Refusal(msgspec.Struct):
    """Why a grammar is not let through; `code` is RequestError's."""

    message: str
    code: str


def serve(backends: Backends, asked: BinaryIO, answers: int) -> None:
    """Until `asked` ends; `answers` is a descriptor."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for line in asked:
        wanted = msgspec.json.decode(line, type=StructuredOutputs)
        os.write(answers, msgspec.json.encode(_compile(backends, wanted)) + b"\n")


def _compile(backends: Backends, wanted: StructuredOutputs) -> Refusal | None:
    try:
        check_bounds(wanted)
        backend = backends.get(wanted.backend)
        signal.setitimer(signal.ITIMER_REAL, COMPILE_S)
        try:
            backend.compile(wanted)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except MemoryError:
        raise SystemExit(1) from None
    except Exception as error:
        refused = as_request_error(error)
        code = refused.code if isinstance(refused, RequestError) else "server_error"
        return Refusal(str(refused), code)
    return None


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they reach the whole process group
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody else's words are an answer
    asked = sys.stdin.buffer
    start = msgspec.json.decode(asked.readline(), type=Start)
    config = EngineConfig.model_validate_json(start.config)
    serve(Backends(Host.of(config.plugins), config, start.vocab_size), asked, answers)


if __name__ == "__main__":
    main()
