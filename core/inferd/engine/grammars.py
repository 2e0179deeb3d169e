"""Grammars of structured outputs: advanced and turned into masks by step.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from inferd.contracts.grammar import GrammarBackend, Matcher
from inferd.engine.grammar_compiler import Compiled, GrammarCompiler, as_request_error
from inferd.errors import InferdError
from inferd.structured_outputs import StructuredOutputs
from inferd.types import Request, Sequence, SequenceOutput, StepMasks


@dataclass(slots=True)
class Bound:
    """A request that runs under a grammar; its matchers are by sample."""

    backend: GrammarBackend
    matchers: dict[int, Matcher]


class Grammars:
    """The engine's: requests that wait for their grammar, and the matchers of those that run."""

    def __init__(self, compiler: GrammarCompiler, vocab_size: int) -> None:
        self._compiler = compiler
        self._num_words = -(-vocab_size // 32)
        self._pending: dict[str, tuple[Request, Future[Compiled]]] = {}
        self._bound: dict[str, Bound] = {}  # by request id

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

    def _start(self, request: Request, future: Future[Compiled]) -> InferdError | None:
        del self._pending[request.request_id]
        error = future.exception()
        if error is not None:
            return as_request_error(error)
        compiled = future.result()
        matchers = {index: compiled.grammar.start() for index in range(request.params.n)}
        for matcher, known in zip(matchers.values(), request.output_ids, strict=False):
            for token_id in known:
                matcher.accept(token_id)
        self._bound[request.request_id] = Bound(compiled.backend, matchers)
        return None

    def drop(self, request_id: str, index: int | None = None) -> Request | None:
        """Forget a request, or one of its samples; the request if it was waiting for a grammar."""
        pending = self._pending.pop(request_id, None)
        if index is None:
            self._bound.pop(request_id, None)
        elif request_id in self._bound:
            self._end(request_id, index)
        return pending[0] if pending else None

    def _end(self, request_id: str, index: int) -> None:
        matchers = self._bound[request_id].matchers
        matchers.pop(index, None)
        if not matchers:
            del self._bound[request_id]

    def _matcher(self, request_id: str, index: int) -> Matcher | None:
        bound = self._bound.get(request_id)
        return bound.matchers.get(index) if bound else None

    def bound(self, sequences: Iterable[Sequence]) -> list[Sequence]:
        """Those whose next token a grammar restricts."""
        if not self._bound:
            return []
        return [s for s in sequences if self._matcher(s.request.request_id, s.index) is not None]

    def advance(self, outputs: Iterable[SequenceOutput]) -> None:
        """By what a step sampled."""
        if not self._bound:
            return
        for output in outputs:
            matcher = self._matcher(output.request_id, output.index)
            if matcher is None:
                continue
            if output.finish_reason is not None:
                self._end(output.request_id, output.index)
                continue
            for token_id in output.token_ids:
                matcher.accept(token_id)

    def ended(self, sequences: list[Sequence]) -> list[Sequence]:
        """Those that the end of the output alone may follow, and end with it."""
        return [
            seq
            for seq in sequences
            if (matcher := self._matcher(seq.request.request_id, seq.index)) is not None
            and matcher.ended
            and seq.request.eos_ids
        ]

    def forced(
        self, sequences: list[Sequence], masks: StepMasks | None
    ) -> Iterator[tuple[Sequence, list[int]]]:
        """What must come after the next token, in those of which a mask allows that one alone."""
        import numpy as np

        if masks is None:
            return
        words_NW = np.frombuffer(masks.words, dtype=np.int32).reshape(len(masks.rows), -1)
        counts_N = np.add.reduce(words_NW != 0, axis=1, dtype=np.uint16)
        few = {masks.rows[place] for place in np.flatnonzero(counts_N == 1)}
        for seq in sequences if few else ():
            matcher = self._matcher(seq.request.request_id, seq.index) if seq.row in few else None
            if matcher is not None and (after := matcher.forced()[1:]):
                yield seq, after

    def masks(self, sequences: list[Sequence]) -> StepMasks | None:
        """What may follow in each of them; those that have ended meanwhile are left out."""
        import numpy as np

        groups: dict[GrammarBackend, list[tuple[int, Matcher]]] = {}
        for seq in sequences:
            bound = self._bound.get(seq.request.request_id)
            if bound is not None and (matcher := bound.matchers.get(seq.index)) is not None:
                groups.setdefault(bound.backend, []).append((seq.row, matcher))
        rows = [row for group in groups.values() for row, _ in group]
        if not rows:
            return None
        words_NW = np.zeros((len(rows), self._num_words), dtype=np.int32)
        start = 0
        for backend, group in groups.items():
            backend.fill([matcher for _, matcher in group], words_NW[start : start + len(group)])
            start += len(group)
        return StepMasks(rows, words_NW.data.cast("B"))
