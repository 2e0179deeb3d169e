"""Grammars from what clients ask for: the back ends, by name, and the threads that compile."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd.contracts.grammar import Grammar, GrammarBackend, Vocabulary
from inferd.contracts.verdict import Verdict
from inferd.engine.grammar_bounds import check_bounds
from inferd.errors import InferdError, RequestError
from inferd.host.explain import choose
from inferd.structured_outputs import StructuredOutputs

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.host.host import Host

MOST_GRAMMARS = 256  # kept compiled of each line, the least recently used goes first


class Backends:
    """What plugins offer; each is made where it is asked for first. Thread-safe."""

    def __init__(self, host: Host, config: EngineConfig, vocab_size: int) -> None:
        self._host = host
        self._config = config
        self._vocab_size = vocab_size
        self._made: dict[type[GrammarBackend], GrammarBackend] = {}
        self._making: dict[type[GrammarBackend], threading.Lock] = {}

    def get(self, name: str | None) -> GrammarBackend:
        """The one of that name, else the operator's choice, else the best.

        Raises RequestError for a name that nobody offers, and without a tokenizer.
        """
        registry = self._host.catalog.grammars
        wanted = name or self._config.plugins.grammar_backend
        try:
            kind = choose(
                registry, lambda _: Verdict(True), wanted=wanted, flag="--grammar-backend"
            )
        except InferdError as error:
            text = f"structured outputs: {error}"
            raise RequestError(text, "structured_outputs") from None
        with self._making.setdefault(kind, threading.Lock()):
            if kind not in self._made:
                self._made[kind] = registry.make(kind, self._vocabulary())
            return self._made[kind]

    def _vocabulary(self) -> Vocabulary:
        from inferd.engine.front import load_front

        front = load_front(self._config.model)
        if front.tokenizer is None:
            raise RequestError("structured outputs need a tokenizer", "structured_outputs")
        return Vocabulary(front.tokenizer.to_json(), self._vocab_size, tuple(front.eos_ids))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A grammar, and who fills the masks of its matchers."""

    backend: GrammarBackend
    grammar: Grammar


class _Line:
    """A thread, and the grammars that it has compiled."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="inferd-grammar")
        self.kept: OrderedDict[StructuredOutputs, Compiled] = OrderedDict()


class GrammarCompiler:
    """A thread for the back end of each of `names`, so that a slow one holds up nobody else's, and
    one for requests that name none of them.

    `backend` gives the back end of a name, in such a thread. Each compiles one grammar at a time,
    also the one that is used with and without its name.
    """

    def __init__(
        self, backend: Callable[[str | None], GrammarBackend], names: Iterable[str] = ()
    ) -> None:
        self._backend = backend
        self._lines = {name: _Line() for name in (None, *names)}
        self._locks: dict[GrammarBackend, threading.Lock] = {}

    def submit(self, wanted: StructuredOutputs) -> Future[Compiled]:
        """The future raises RequestError for what cannot be enforced."""
        line = self._lines.get(wanted.backend, self._lines[None])
        return line.thread.submit(self._compile, line, wanted)

    def stop(self) -> None:
        for line in self._lines.values():
            line.thread.shutdown(wait=False, cancel_futures=True)

    def _compile(self, line: _Line, wanted: StructuredOutputs) -> Compiled:
        if wanted not in line.kept:
            check_bounds(wanted)
            backend = self._backend(wanted.backend)
            with self._locks.setdefault(backend, threading.Lock()):
                line.kept[wanted] = Compiled(backend, backend.compile(wanted))
        line.kept.move_to_end(wanted)
        if len(line.kept) > MOST_GRAMMARS:
            line.kept.popitem(last=False)
        return line.kept[wanted]


def as_request_error(error: BaseException) -> InferdError:
    """What a back end raised, fit for a client: of its own failures only the kind."""
    if isinstance(error, InferdError):
        return error
    text = f"the grammar back end failed: {type(error).__name__}"
    return RequestError(text, "structured_outputs", "server_error")
