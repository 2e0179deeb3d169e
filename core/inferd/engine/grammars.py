"""Grammars of structured outputs: compiled in a thread, advanced and turned into masks by step.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher, Vocabulary
from inferd.contracts.verdict import Verdict
from inferd.errors import InferdError, RequestError
from inferd.host.explain import choose
from inferd.structured_outputs import StructuredOutputs
from inferd.types import Request, Sequence, SequenceOutput, StepMasks

if TYPE_CHECKING:
    from inferd.config.model import ModelOptions
    from inferd.host.host import Host

MOST_GRAMMARS = 256  # kept compiled, the least recently used goes first


def load_backend(host: Host, options: ModelOptions, vocab_size: int) -> GrammarBackend:
    """The best back end that plugins offer. Raises RequestError without one or a tokenizer."""
    from inferd.engine.front import load_front

    front = load_front(options)
    if front.tokenizer is None:
        raise RequestError("structured outputs need a tokenizer", "structured_outputs")
    registry = host.catalog.grammars
    try:
        backend = choose(registry, lambda _: Verdict(True), flag="--plugins")
    except InferdError as error:
        raise RequestError(f"structured outputs: {error}", "structured_outputs") from None
    vocabulary = Vocabulary(front.tokenizer.to_json(), vocab_size, tuple(front.eos_ids))
    return registry.make(backend, vocabulary)


class GrammarCompiler:
    """One thread, which loads the back end with the first grammar."""

    def __init__(self, load: Callable[[], GrammarBackend]) -> None:
        self._load = load
        self._backend: GrammarBackend | None = None
        self._kept: OrderedDict[StructuredOutputs, Grammar] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inferd-grammar")

    @property
    def backend(self) -> GrammarBackend:
        """After the first grammar."""
        assert self._backend is not None
        return self._backend

    def submit(self, wanted: StructuredOutputs) -> Future[Grammar]:
        """The future raises RequestError for what cannot be enforced."""
        return self._thread.submit(self._compile, wanted)

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compile(self, wanted: StructuredOutputs) -> Grammar:
        if self._backend is None:
            self._backend = self._load()
        if wanted not in self._kept:
            self._kept[wanted] = self._backend.compile(wanted)
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


class Grammars:
    """The engine's: requests that wait for their grammar, and the matchers of those that run."""

    def __init__(self, compiler: GrammarCompiler, vocab_size: int) -> None:
        self._compiler = compiler
        self._num_words = -(-vocab_size // 32)
        self._pending: dict[str, tuple[Request, Future[Grammar]]] = {}
        self._matchers: dict[str, dict[int, Matcher]] = {}  # by request id, then sample

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def add(self, request: Request, wanted: StructuredOutputs) -> None:
        """Compile what the request needs; `ready` returns it once that is done."""
        self._pending[request.request_id] = (request, self._compiler.submit(wanted))

    def ready(self, timeout: float) -> list[tuple[Request, InferdError | None]]:
        """Requests whose grammar is compiled, or cannot be; waits up to `timeout` s for one."""
        if timeout:
            wait([future for _, future in self._pending.values()], timeout, FIRST_COMPLETED)
        done = [(r, future) for r, future in self._pending.values() if future.done()]
        return [(request, self._start(request, future)) for request, future in done]

    def _start(self, request: Request, future: Future[Grammar]) -> InferdError | None:
        del self._pending[request.request_id]
        error = future.exception()
        if error is not None:
            return as_request_error(error)
        grammar = future.result()
        matchers = {index: grammar.start() for index in range(request.params.n)}
        for matcher, known in zip(matchers.values(), request.output_ids, strict=False):
            for token_id in known:
                matcher.accept(token_id)
        self._matchers[request.request_id] = matchers
        return None

    def drop(self, request_id: str, index: int | None = None) -> Request | None:
        """Forget a request, or one of its samples; the request if it was waiting for a grammar."""
        pending = self._pending.pop(request_id, None)
        if index is None:
            self._matchers.pop(request_id, None)
        elif request_id in self._matchers:
            self._end(request_id, index)
        return pending[0] if pending else None

    def _end(self, request_id: str, index: int) -> None:
        matchers = self._matchers[request_id]
        matchers.pop(index, None)
        if not matchers:
            del self._matchers[request_id]

    def bound(self, sequences: Iterable[Sequence]) -> list[Sequence]:
        """Those whose next token a grammar restricts."""
        if not self._matchers:
            return []
        return [s for s in sequences if s.index in self._matchers.get(s.request.request_id, ())]

    def advance(self, outputs: Iterable[SequenceOutput]) -> None:
        """By what a step sampled."""
        if not self._matchers:
            return
        for output in outputs:
            matchers = self._matchers.get(output.request_id)
            if matchers is None or output.index not in matchers:
                continue
            if output.finish_reason is not None:
                self._end(output.request_id, output.index)
                continue
            for token_id in output.token_ids:
                matchers[output.index].accept(token_id)

    def masks(self, sequences: list[Sequence]) -> StepMasks | None:
        """What may follow in each of them; those that have ended meanwhile are left out."""
        import numpy as np

        bound = self.bound(sequences)
        if not bound:
            return None
        words_NW = np.zeros((len(bound), self._num_words), dtype=np.int32)
        matchers = [self._matchers[seq.request.request_id][seq.index] for seq in bound]
        self._compiler.backend.fill(matchers, words_NW)
        return StepMasks([seq.row for seq in bound], words_NW.tobytes())
