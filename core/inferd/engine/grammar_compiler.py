"""Grammars from what clients ask for: the back ends, by name, and the thread that compiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferd.contracts.grammar import Grammar, GrammarBackend, Vocabulary
from inferd.contracts.verdict import Verdict
from inferd.errors import InferdError, RequestError
from inferd.host.explain import choose
from inferd.structured_outputs import StructuredOutputs

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.host.host import Host

MOST_GRAMMARS = 256  # kept compiled, the least recently used goes first


class Backends:
    """What plugins offer; each is made where it is asked for first."""

    def __init__(self, host: Host, config: EngineConfig, vocab_size: int) -> None:
        self._host = host
        self._config = config
        self._vocab_size = vocab_size
        self._made: dict[type[GrammarBackend], GrammarBackend] = {}

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


class GrammarCompiler:
    """One thread. `backend` gives the back end of a name, in that thread."""

    def __init__(self, backend: Callable[[str | None], GrammarBackend]) -> None:
        self._backend = backend
        self._kept: OrderedDict[StructuredOutputs, Compiled] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inferd-grammar")

    def submit(self, wanted: StructuredOutputs) -> Future[Compiled]:
        """The future raises RequestError for what cannot be enforced."""
        return self._thread.submit(self._compile, wanted)

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compile(self, wanted: StructuredOutputs) -> Compiled:
        if wanted not in self._kept:
            backend = self._backend(wanted.backend)
            self._kept[wanted] = Compiled(backend, backend.compile(wanted))
        self._kept.move_to_end(wanted)
        if len(self._kept) > MOST_GRAMMARS:
            self._kept.popitem(last=False)
        return self._kept[wanted]


def as_request_error(error: BaseException) -> InferdError:
    """What a back end raised, fit for a client: of its own failures only the kind."""
    if isinstance(error, InferdError):
        return error
    text = f"the grammar back end failed: {type(error).__name__}"
    return RequestError(text, "structured_outputs", "server_error")
