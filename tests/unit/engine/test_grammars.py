"""Grammars in the step loop: masks made while a forward runs, and requests that wait for theirs."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fakes import VOCAB, HashExecutor, fake_host

from inferd.config.engine import EngineConfig
from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher, Vocabulary
from inferd.engine.engine import Engine
from inferd.engine.grammar_compiler import MOST_GRAMMARS, GrammarCompiler
from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd.structured_outputs import StructuredOutputs
from inferd.types import Request, SequenceOutput, StepMasks, StepPlan

EOS = 0


class Counting(Matcher):
    """The tokens of a text in their order, then the end."""

    def __init__(self, tokens: list[int]) -> None:
        self.left = [*tokens, EOS]

    def accept(self, token_id: int) -> bool:
        assert self.left.pop(0) == token_id
        return True

    @property
    def ended(self) -> bool:
        return self.left == [EOS]

    def forced(self) -> list[int]:
        """Capital letters and what is small after them, as far as it goes."""
        shown = "".join(map(chr, self.left))
        found = re.match("[A-Z][a-z]*", shown)
        return self.left[: found.end()] if found else []


class Text(Grammar):
    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    def start(self) -> Matcher:
        return Counting(self._tokens)


class Backend(GrammarBackend):
    """A regular expression is the text itself; "slow" waits for `gate`, "no" is refused."""

    name = "fake"

    def __init__(self, vocabulary: Vocabulary, log: list[str]) -> None:
        self.log = log
        self.gate = threading.Event()
        self.compiled: list[str] = []

    def compile(self, wanted: StructuredOutputs) -> Grammar:
        text = wanted.regex or ""
        if text == "slow":
            self.gate.wait(10)
        if text == "no":
            raise RequestError("cannot be enforced", "structured_outputs")
        self.compiled.append(text)
        return Text([ord(c) for c in text])

    def fill(self, matchers: Sequence[Matcher], words_NW: Any) -> None:
        self.log.append("fill")
        for words, matcher in zip(words_NW, matchers, strict=True):
            assert isinstance(matcher, Counting)
            token = matcher.left[0]
            words[token // 32] = np.uint32(1 << token % 32).astype(np.int32)


class MaskedExecutor(HashExecutor):
    """Takes the one token that a mask leaves, else the hash."""

    log: list[str]

    def forward(self, plan: StepPlan) -> None:
        self.log.append(f"forward {plan.step_id}")
        super().forward(plan)

    def sample(self, step_id: int, masks: StepMasks | None = None) -> None:
        self.log.append(f"sample {step_id}")
        super().sample(step_id)
        if masks is None:
            return
        result = self.results[-1]
        lines = np.frombuffer(masks.words, dtype=np.uint8).reshape(len(masks.rows), -1)
        for row, line in zip(masks.rows, lines, strict=True):
            (token,) = np.flatnonzero(np.unpackbits(line, bitorder="little"))
            result.token_ids[result.rows.index(row)] = int(token)
            self.rows[row][-1] = int(token)


class Made:
    """An engine, its back end, and the order in which things happened."""

    def __init__(self, run_ahead: bool = True, **options: int) -> None:
        self.log: list[str] = []
        self.backend = Backend(Vocabulary("", VOCAB, (EOS,)), self.log)
        executor = type("Executor", (MaskedExecutor,), {"log": self.log})
        config = EngineConfig.of("none", async_scheduling=run_ahead, **options)
        self.engine = Engine(config, fake_host(executor))
        self.engine.start()
        self.engine._grammars._compiler._backend = lambda _: self.backend  # type: ignore[method-assign]

    def add(
        self, name: str, regex: str | None, n: int = 1, backend: str | None = None, **rest: Any
    ) -> None:
        wanted = None if regex is None else StructuredOutputs(regex=regex, backend=backend)
        params = SamplingParams(structured_outputs=wanted, n=n, max_tokens=20, **rest)
        self.engine.add(
            Request(
                request_id=name,
                prompt_ids=[1, 2, 3],
                params=params,
                seed=0,
                eos_ids=[EOS] if wanted else [],
            )
        )

    def wait(self) -> None:
        """Until every grammar is compiled, so that all requests are queued by the next step."""
        for _, future in self.engine._grammars._pending.values():
            future.exception(10)

    def run(self) -> dict[str, list[SequenceOutput]]:
        found: dict[str, list[SequenceOutput]] = {}
        while self.engine.has_work:
            for output in self.engine.step():
                found.setdefault(f"{output.request_id}/{output.index}", []).append(output)
        return found


def texts(found: dict[str, list[SequenceOutput]]) -> dict[str, str]:
    return {
        name: "".join(chr(t) for output in outputs for t in output.token_ids if t != EOS)
        for name, outputs in found.items()
    }


@pytest.mark.parametrize("run_ahead", [True, False])
def test_each_sequence_follows_its_grammar(run_ahead: bool) -> None:
    made = Made(run_ahead, max_num_seqs=3)
    made.add("a", "hello", n=2)
    made.add("b", "a longer text")
    made.add("c", "x")
    found = made.run()
    want = {"a/0": "hello", "a/1": "hello", "b/0": "a longer text", "c/0": "x"}
    assert texts(found) == want
    assert {outputs[-1].finish_reason for outputs in found.values()} == {"stop"}
    assert made.engine._grammars._bound == {}


@pytest.mark.parametrize("run_ahead", [True, False])
def test_others_in_the_batch_get_what_they_would_get_alone(run_ahead: bool) -> None:
    alone, mixed = Made(run_ahead), Made(run_ahead)
    for made in (alone, mixed):
        made.add("free", None)
    mixed.add("bound", "hello")
    free, both = alone.run(), mixed.run()
    assert texts(both)["bound/0"] == "hello"
    assert [o.token_ids for o in both["free/0"]] == [o.token_ids for o in free["free/0"]]


def test_masks_are_made_between_forward_and_sample() -> None:
    made = Made()
    made.add("a", "hello")
    made.run()
    for at, what in enumerate(made.log):
        if what == "fill":
            number = made.log[at - 1].removeprefix("forward ")
            assert made.log[at + 1] == f"sample {number}"
    assert made.log.count("fill") == 6  # five letters and the end


@pytest.mark.parametrize("run_ahead", [True, False])
def test_no_step_runs_ahead_of_an_end_that_is_known(run_ahead: bool) -> None:
    made = Made(run_ahead)
    made.add("a", "hello")
    outputs = made.run()["a/0"]
    assert outputs[-1].finish_reason == "stop"
    assert len([what for what in made.log if what.startswith("forward")]) == 6


def test_each_sequence_has_its_masks_from_its_back_end() -> None:
    made = Made()
    other = Backend(Vocabulary("", VOCAB, (EOS,)), [])
    backends = {None: made.backend, "other": other}
    made.engine._grammars._compiler._backend = backends.__getitem__  # type: ignore[method-assign]
    wanted = {"a": ("one", None), "b": ("two", "other"), "c": ("three", None), "d": ("4", "other")}
    for name, (text, backend) in wanted.items():
        made.add(name, text, backend=backend, n=2)
    made.wait()
    expected = {f"{name}/{i}": text for name, (text, _) in wanted.items() for i in range(2)}
    assert texts(made.run()) == expected
    assert (made.backend.compiled, other.compiled) == (["one", "three"], ["two", "4"])


@pytest.mark.parametrize("run_ahead", [True, False])
def test_what_a_grammar_forces_is_computed_in_one_step(run_ahead: bool) -> None:
    made = Made(run_ahead)
    made.add("a", "an Apple and a Pear", n=2)
    outputs = made.run()["a/0"]
    words = ["a", "n", " ", "Apple", " ", "a", "n", "d", " ", "a", " ", "Pear", chr(EOS)]
    assert ["".join(map(chr, output.token_ids)) for output in outputs] == words
    assert outputs[-1].finish_reason == "stop"
    assert len([what for what in made.log if what.startswith("sample")]) == len(words) + 1


@pytest.mark.parametrize("run_ahead", [True, False])
def test_what_is_forced_ends_at_the_most_tokens(run_ahead: bool) -> None:
    made = Made(run_ahead)
    made.add("a", "an Extraordinarily long word")
    (outputs,) = made.run().values()
    assert sum(len(output.token_ids) for output in outputs) == 20
    assert outputs[-1].finish_reason == "length"


def test_without_grammars_the_engine_runs_ahead() -> None:
    made = Made()
    made.add("a", "hi")
    made.run()
    made.add("free", None)
    made.run()
    assert made.engine._executor.max_in_flight == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("run_ahead", [True, False])
def test_a_preempted_sequence_goes_on_where_it_was(run_ahead: bool) -> None:
    class Tight(MaskedExecutor):
        num_blocks = 4

    made = Made(run_ahead)
    executor = type("Executor", (Tight,), {"log": made.log})
    config = EngineConfig.of("none", async_scheduling=run_ahead)
    made.engine = Engine(config, fake_host(executor))
    made.engine.start()
    made.engine._grammars._compiler._backend = lambda _: made.backend  # type: ignore[method-assign]
    long = "twenty letters and more"[:19]
    for name in "abc":
        made.add(name, long)
    made.wait()
    assert texts(made.run()) == {f"{name}/0": long for name in "abc"}
    assert made.engine.stats().num_preemptions


def test_one_that_waits_for_its_grammar_holds_nobody_up() -> None:
    made = Made()
    made.add("slow", "slow")
    made.add("free", None)
    steps = 0
    while made.engine.stats().num_running or steps < 5:
        made.engine.step()
        steps += 1
    assert made.engine.has_work
    made.backend.gate.set()
    assert texts(made.run()) == {"slow/0": "slow"}


def test_a_grammar_that_cannot_be_enforced_fails_its_request_alone() -> None:
    made = Made()
    made.add("bad", "no", n=2)
    made.add("good", "yes")
    found = made.run()
    assert [found[f"bad/{i}"][0].error for i in range(2)] == ["cannot be enforced"] * 2
    assert texts(found)["good/0"] == "yes"


def test_aborting_forgets_the_grammar() -> None:
    made = Made()
    made.add("waits", "slow", n=2)
    assert made.engine.abort("waits") == 2
    made.backend.gate.set()
    made.add("runs", "hello", n=2)
    while not made.engine.stats().num_running:
        made.engine.step()
    assert made.engine.abort("runs", 1) == 1
    assert texts(made.run())["runs/0"] == "hello"
    assert made.engine._grammars._bound == {}


def test_known_output_is_accepted_first() -> None:
    made = Made()
    params = SamplingParams(structured_outputs=StructuredOutputs(regex="hello"), max_tokens=20)
    known = [[ord("h"), ord("e")]]
    made.engine.add(
        Request(
            request_id="r",
            prompt_ids=[1],
            params=params,
            seed=0,
            eos_ids=[EOS],
            output_ids=known,
        )
    )
    assert texts(made.run()) == {"r/0": "llo"}


def test_the_same_grammar_is_compiled_once_and_not_all_are_kept() -> None:
    backend = Backend(Vocabulary("", VOCAB, (EOS,)), [])
    compiler = GrammarCompiler(lambda _: backend)
    for number in [*range(MOST_GRAMMARS), 0, MOST_GRAMMARS, 0, 1]:
        compiler.submit(StructuredOutputs(regex=f"r{number}")).result(10)
    assert backend.compiled == [f"r{n}" for n in [*range(MOST_GRAMMARS), MOST_GRAMMARS, 1]]
    compiler.stop()
