"""Random requests through a real engine; after each operation every block is accounted for.

Operations are drawn from a seed, so a run that fails fails again.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from scheduling_invariants import check

from inferd import LLM, SamplingParams
from inferd.types import Request, SequenceOutput, StepPlan

VOCAB = 256  # below the special tokens
LONGEST_PROMPT, LONGEST_OUTPUT = 160, 60  # tokens
CONTEXT = LONGEST_PROMPT + LONGEST_OUTPUT
MOST_SAMPLES = 4
TIE = 1e-3  # of two log-probabilities: below it either token is right
LIMITS: dict[str, Any] = {  # about half of the blocks that so many sequences want
    "max_model_len": CONTEXT,
    "max_num_seqs": 24,
    "max_num_batched_tokens": 256,
    "num_blocks": 100,
    "dtype": "float32",
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"scheduling_policy": "priority"},
    {"scheduling_policy": "priority", "async_scheduling": False},
    {"enable_chunked_prefill": False, "enable_prefix_caching": False},
]
GREEDY: dict[str, Any] = {"temperature": 0.0}
WAYS: list[dict[str, Any]] = [
    {"temperature": 0.8},
    {"temperature": 1.0, "top_k": 20, "top_p": 0.9, "min_p": 0.01},
    {"repetition_penalty": 1.2, "presence_penalty": 0.1, "frequency_penalty": 0.1},
    {"logprobs": 3, "min_tokens": 1},
    {"logit_bias": {3: 2.0}},
    {"prompt_logprobs": 1},
]

draw = random.Random(0)
TEXTS = [[draw.randrange(VOCAB) for _ in range(LONGEST_PROMPT)] for _ in range(4)]


def random_params(rng: random.Random) -> SamplingParams:
    """Half of them greedy; most end by their length, the others by a token."""
    return SamplingParams(
        **rng.choice([GREEDY, rng.choice(WAYS)]),
        n=rng.choice([1, 1, 1, 2, MOST_SAMPLES]),
        max_tokens=rng.choice([None, LONGEST_OUTPUT, rng.randint(1, 30), rng.randint(5, 30)]),
        stop_token_ids=rng.sample(range(VOCAB), rng.choice([0, 0, 20])),
        ignore_eos=rng.random() < 0.5,
        seed=rng.choice([None, rng.randrange(1000)]),
    )


def random_prompt(rng: random.Random) -> list[int]:
    """It may begin with a part of a text that others begin with, whole blocks long or not."""
    length = rng.choice([rng.randint(1, 40), rng.randint(1, LONGEST_PROMPT)])
    shared = rng.choice([0, length, length // 16 * 16, rng.randint(0, length)])
    return rng.choice(TEXTS)[:shared] + [rng.randrange(VOCAB) for _ in range(length - shared)]


class Traffic:
    """Requests that come, go and end, as every output of the engine says."""

    def __init__(self, llm: LLM, seed: int) -> None:
        self._llm, self._engine = llm, llm._engine
        self._scheduler = self._engine._scheduler
        self._rng = random.Random(seed)
        self._forward = self._engine._executor.forward
        self._engine._executor.forward = self._checked_forward
        self.requests: dict[str, Request] = {}
        self.open: dict[str, set[int]] = {}  # samples that have not ended
        self.tokens: dict[tuple[str, int], list[int]] = {}  # of each sample
        self.ended: Counter[str] = Counter()  # samples by finish reason

    def run(self, num_requests: int) -> None:
        """Until all of them have ended or were aborted."""
        most_open = self._scheduler.options.max_num_seqs * 3 // 2
        while len(self.requests) < num_requests or self.open:
            drawn = self._rng.random()
            if drawn < 0.4 and len(self.requests) < num_requests and len(self.open) < most_open:
                self._submit()
            elif drawn < 0.42 and self.open:
                self._abort()
            elif drawn < 0.421:
                self._engine.reset_prefix_cache()
            else:
                self._step()
            check(self._scheduler)
        while self._engine.has_work:  # what was submitted ahead for the last ones
            self._step()
        self._check_nothing_is_left()

    def _submit(self) -> None:
        name, rng = str(len(self.requests)), self._rng
        params, prompt = random_params(rng), random_prompt(rng)
        priority, salt = rng.randrange(3), rng.choice(["", "", "mine"])
        request = self._llm._inputs.request(
            name, prompt, params, priority=priority, cache_salt=salt
        )
        self._engine.add(request)
        self.requests[name] = request
        self.open[name] = set(range(params.n))
        self.tokens |= {(name, index): [] for index in range(params.n)}

    def _abort(self) -> None:
        name = self._rng.choice(list(self.open))
        index = self._rng.choice([None, *self.open[name]])
        ending = set(self.open[name]) if index is None else {index}
        assert self._engine.abort(name, index) == len(ending)
        self._close(name, ending, "abort")

    def _step(self) -> None:
        for output in self._engine.step():
            assert output.index in self.open.get(output.request_id, ()), "output after the end"
            self.tokens[output.request_id, output.index] += output.token_ids
            if output.finish_reason is not None:
                self._check_end(output)
                self._close(output.request_id, {output.index}, output.finish_reason)

    def _checked_forward(self, plan: StepPlan) -> None:
        options = self._scheduler.options
        assert 0 < plan.total_tokens <= options.max_num_batched_tokens
        sampling = [row for row, samples in zip(plan.rows, plan.samples, strict=True) if samples]
        assert len(set(sampling)) == len(sampling)
        assert len(set(plan.rows)) <= options.max_num_seqs
        self._forward(plan)

    def _check_end(self, output: SequenceOutput) -> None:
        request = self.requests[output.request_id]
        tokens, params = self.tokens[output.request_id, output.index], request.params
        stops = {*params.stop_token_ids, *request.eos_ids}
        at = [i for i, token in enumerate(tokens) if token in stops and i >= params.min_tokens]
        room = CONTEXT - len(request.prompt_ids)
        if output.finish_reason == "stop":
            assert at == [len(tokens) - 1]
        else:
            assert output.finish_reason == "length", output.error
            assert not at
            assert len(tokens) == min(params.max_tokens or room, room)

    def _close(self, name: str, samples: set[int], reason: str) -> None:
        self.ended[reason] += len(samples)
        self.open[name] -= samples
        if not self.open[name]:
            del self.open[name]

    def _check_nothing_is_left(self) -> None:
        pool = self._scheduler.blocks.pool
        assert pool.num_used == pool.num_retiring == 0
        assert self._scheduler.rows.num_free == self._scheduler.options.max_num_seqs
        assert self.ended.total() == len(self.tokens)
        ends = [self.ended[reason] for reason in ("abort", "stop", "length")]
        assert min(*ends, self._engine.stats().num_preemptions) > 10, "the traffic was too thin"

    def greedy(self) -> list[tuple[str, int]]:
        """Samples whose tokens follow from the prompt alone, if only so far as they came."""
        names = {n for n, r in self.requests.items() if r.params.greedy}
        return [key for key, tokens in self.tokens.items() if key[0] in names and tokens]


def check_alone(llm: LLM, request: Request, tokens: list[int]) -> None:
    """`tokens` are those of the request when nothing else runs, but for ties."""
    params = request.params
    alone = SamplingParams(
        **GREEDY,
        max_tokens=len(tokens),
        stop_token_ids=params.stop_token_ids,
        ignore_eos=params.ignore_eos,
        logprobs=2,
    )
    (output,) = llm.generate([request.prompt_ids], alone)
    expected, logprobs = output.outputs[0].token_ids, output.outputs[0].logprobs
    for found, best, entries in zip(tokens, expected, logprobs, strict=False):
        if found != best:
            assert found in entries, request.request_id
            assert entries[best].logprob - entries[found].logprob < TIE, request.request_id
            return  # from here on the two go different ways
    assert len(tokens) == len(expected)
