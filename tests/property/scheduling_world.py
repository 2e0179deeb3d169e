"""A scheduler with a worker that can tell whether every token reads the KV it should.

The worker runs each plan at once, as a device does in submission order; only the results wait. The
KV of a token is a hash of all tokens up to it, so a block that was freed too early, shared wrongly,
copied too late or found under a wrong hash holds something else than its reader expects.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from zlib import crc32

from scheduling_invariants import check

from inferd.config.scheduler import SchedulerOptions
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.params import SamplingParams
from inferd.scheduling.policy import FcfsPolicy, PriorityPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.types import Logprobs, Request, RowStart, SequenceOutput, StepPlan, StepResult

BLOCK = 4
VOCAB = 50
STOP = 7
CONTEXT = 96
FULL, WINDOW, NARROW = GroupSpec(), GroupSpec("window", 10), GroupSpec("window", 3)

MANY = (WINDOW, WINDOW, FULL, NARROW)  # layers of one spec in two groups


def root(request: Request) -> int:
    return crc32(request.cache_salt.encode())


def chain(content: int, token: int) -> int:
    return hash((content, token))


def next_token(content: int, request: Request, index: int) -> int:
    return hash((content, request.seed, index)) % VOCAB


@dataclass
class Row:
    start: RowStart
    request: Request
    tokens: list[int]
    contents: list[int] = field(default_factory=list)  # by position, as far as they are asked for

    def content(self, position: int) -> int:
        while len(self.contents) <= position:
            parent = self.contents[-1] if self.contents else root(self.request)
            self.contents.append(chain(parent, self.tokens[len(self.contents)]))
        return self.contents[position]


class Worker:
    """A request table and a KV cache of hashes."""

    def __init__(self, layout: CacheLayout, requests: dict[str, Request]) -> None:
        self.layout = layout
        self.requests = requests
        self.rows: dict[int, Row] = {}
        self.slots = [[None] * layout.block_size for _ in range(layout.num_blocks)]
        self.failing: set[str] = set()

    def run(self, plan: StepPlan) -> StepResult:
        if plan.restart:
            self.rows.clear()
        for start in plan.new_rows:
            request = self.requests[start.request_id]
            self.rows[start.row] = Row(start, request, start.prompt_ids + start.output_ids)
        for group, row, block in plan.new_blocks:
            self.rows[row].start.block_ids[group].append(block)
        for source, target in plan.copies:
            self.slots[target] = list(self.slots[source])
        for row, position, token in plan.new_tokens:
            assert position == len(self.rows[row].tokens)
            self.rows[row].tokens.append(token)
        spans = list(zip(plan.rows, plan.starts, plan.num_tokens, strict=True))
        for row in set(plan.rows):
            self._read(self.rows[row], min(start for each, start, _ in spans if each == row))
        for row, start, num in spans:
            self._write(self.rows[row], start, start + num)
        return self._sample(plan, spans)

    def _read(self, row: Row, start: int) -> None:
        """What earlier steps wrote, as far as the first query of the step sees it."""
        size = self.layout.block_size
        for group, spec in enumerate(self.layout.groups):
            first = 0 if spec.window is None else max(0, start - spec.window + 1)
            table = row.start.block_ids[group]
            for position in range(first, start):
                found = self.slots[table[position // size]][position % size]
                wanted = (group, row.content(position))
                assert found == wanted, f"{row.start.request_id}: {position} of group {group}"

    def _write(self, row: Row, start: int, end: int) -> None:
        size = self.layout.block_size
        for group, table in enumerate(row.start.block_ids):
            for position in range(start, end):
                block = table[position // size]
                assert block, "wrote to the null block"
                self.slots[block][position % size] = (group, row.content(position))

    def _sample(self, plan: StepPlan, spans: list[tuple[int, int, int]]) -> StepResult:
        result = StepResult(plan.step_id, [], [], [])
        for (number, start, num), epoch, samples in zip(
            spans, plan.epochs, plan.samples, strict=True
        ):
            row = self.rows[number]
            if row.start.wants_prompt_logprobs:
                wanted = row.request.prompt_ids[start + 1 : start + num + 1]
                if wanted:
                    result.prompt_logprobs[number] = [Logprobs([i], [0.0], 1) for i in wanted]
            if row.start.request_id in self.failing:
                result.errors[number] = "broken"
            if samples:
                assert start + num == len(row.tokens)
                token = next_token(row.content(start + num - 1), row.request, row.start.index)
                row.tokens.append(token)
                result.rows.append(number)
                result.epochs.append(epoch)
                result.token_ids.append(token)
        return result


@dataclass(frozen=True)
class Setup:
    blocks: int = 24
    groups: tuple[GroupSpec, ...] = (FULL,)
    rows: int = 4
    budget: int = 16
    short: int = 0  # tokens of prompts in a short step
    depth: int = 1
    chunked: bool = True
    caching: bool = True
    priority: bool = False

    @classmethod
    def draw(cls, rng: random.Random) -> Setup:
        groups = rng.choice([(FULL,), (FULL,), (FULL, WINDOW), (WINDOW,), MANY])
        longest = 25 if FULL in groups else 9
        return cls(
            blocks=rng.randint(longest, longest * 2) * len(groups),
            groups=groups,
            rows=rng.randint(1, 12),
            budget=rng.choice([1, 5, 16, 40, 200]),
            short=rng.choice([0, 0, 3, 20]),
            depth=rng.choice([0, 1, 1, 1, 3]),
            chunked=rng.random() < 0.75,
            caching=rng.random() < 0.8,
            priority=rng.random() < 0.3,
        )


class World:
    """Submit, abort, step and collect in any order; every operation is followed by the checks."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.layout = CacheLayout(setup.blocks, BLOCK, setup.groups)
        options = SchedulerOptions(
            max_num_seqs=setup.rows,
            max_num_batched_tokens=setup.budget,
            short_step_tokens=setup.short,
            enable_chunked_prefill=setup.chunked,
        )
        self.scheduler = Scheduler(
            options,
            self.layout,
            CONTEXT,
            PriorityPolicy() if setup.priority else FcfsPolicy(),
            enable_prefix_caching=setup.caching,
            depth=setup.depth,
        )
        self.requests: dict[str, Request] = {}
        self.open: dict[str, set[int]] = {}  # samples that have not ended
        self.outputs: dict[tuple[str, int], list[int]] = {}
        self.worker = Worker(self.layout, self.requests)
        self.results: deque[StepResult] = deque()
        self.num_finished = 0

    def submit(self, request: Request) -> None:
        self.scheduler.add(request)
        self.requests[request.request_id] = request
        self.open[request.request_id] = set(range(request.params.n))
        check(self.scheduler)

    def abort(self, request_id: str, index: int | None = None) -> None:
        samples = self.open[request_id]
        ending = set(samples) if index is None else samples & {index}
        assert self.scheduler.abort(request_id, index) == len(ending)
        self._close(request_id, ending)
        check(self.scheduler)

    def step(self) -> StepPlan | None:
        """Schedule and run; the result is collected by `collect`."""
        plan = self.scheduler.schedule()
        if plan is not None:
            assert 0 < plan.total_tokens <= self.setup.budget
            sampling = [
                row for row, samples in zip(plan.rows, plan.samples, strict=True) if samples
            ]
            assert len(set(sampling)) == len(sampling)
            assert len(set(plan.rows)) <= self.setup.rows
            self.results.append(self.worker.run(plan))
        check(self.scheduler)
        return plan

    def collect(self) -> list[SequenceOutput]:
        if not self.results:
            return []
        outputs = self.scheduler.commit(self.results.popleft())
        for output in outputs:
            self._receive(output)
        check(self.scheduler)
        return outputs

    def turn(self) -> StepPlan | None:
        """What Engine.step does."""
        plan = self.step()
        if plan is None or len(self.results) > self.setup.depth:
            self.collect()
        return plan

    def lose(self) -> None:
        """The steps in flight ran out of memory: at most one sequence fails for them."""
        if not self.scheduler.in_flight:
            return
        self.results.clear()
        outputs = self.scheduler.lost.steps("too much")
        assert len(outputs) <= 1
        for output in outputs:
            assert output.error_code == "out_of_memory"
            self.worker.failing.add(output.request_id)
            self._receive(output)
        assert not self.scheduler.running.sequences
        check(self.scheduler)

    def foresee(self, number: int, length: int) -> None:
        """What an engine that knows a sequence's next tokens does: it says them."""
        running = [seq for seq in self.scheduler.running.sequences if seq.in_flight == 1]
        seqs = [seq for seq in running if not seq.ahead and seq.decoding]
        if not seqs:
            return
        seq = seqs[number % len(seqs)]
        row = self.worker.rows[seq.row]
        content = row.content(len(row.tokens) - 1)
        tokens: list[int] = []
        for _ in range(length):
            tokens.append(next_token(content, row.request, seq.index))
            content = chain(content, tokens[-1])
        self.scheduler.foresight.follow(seq, tokens)
        check(self.scheduler)

    def drain(self) -> None:
        """Run to the end: nothing may be left behind."""
        while self.scheduler.has_work:
            waiting_for_results = bool(self.results)
            assert self.turn() is not None or waiting_for_results, "stuck"
        pool = self.scheduler.blocks.pool
        assert pool.num_used == pool.num_retiring == 0
        assert self.scheduler.rows.num_free == self.setup.rows
        assert not self.open

    def _receive(self, output: SequenceOutput) -> None:
        key = (output.request_id, output.index)
        request = self.requests[output.request_id]
        assert output.index in self.open[output.request_id], "output after the end"
        tokens = self.outputs.setdefault(key, [])
        if not tokens and request.params.prompt_logprobs is not None and output.index == 0:
            self._check_prompt_logprobs(request, output)
        tokens.extend(output.token_ids)
        if output.finish_reason == "error":
            assert output.request_id in self.worker.failing
        elif output.finish_reason is not None:
            assert (tokens, output.finish_reason) == expected(request, output.index)
            self.num_finished += 1
        if output.finish_reason is not None:
            self._close(output.request_id, {output.index})

    def _check_prompt_logprobs(self, request: Request, output: SequenceOutput) -> None:
        if output.finish_reason != "error":
            assert output.prompt_logprobs is not None
            found = [each and each.token_ids[0] for each in output.prompt_logprobs]
            assert found == [None, *request.prompt_ids[1:]]

    def _close(self, request_id: str, samples: set[int]) -> None:
        self.open[request_id] -= samples
        if not self.open[request_id]:
            del self.open[request_id], self.requests[request_id]


def expected(request: Request, index: int) -> tuple[list[int], str]:
    """The output, from the definition alone."""
    content = root(request)
    for token in request.prompt_ids:
        content = chain(content, token)
    tokens: list[int] = []
    room = CONTEXT - len(request.prompt_ids)
    while len(tokens) < min(request.params.max_tokens or room, room):
        token = next_token(content, request, index)
        tokens.append(token)
        if token == STOP and len(tokens) > request.params.min_tokens:
            return tokens, "stop"
        content = chain(content, token)
    return tokens, "length"


PREFIXES = [[random.Random(i).randrange(VOCAB) for _ in range(48)] for i in range(3)]


def draw_request(rng: random.Random, name: str, longest: int = 60) -> Request:
    """Prompts share prefixes of three texts; some are whole blocks long."""
    length = rng.choice([rng.randint(1, longest), rng.randint(1, longest // BLOCK) * BLOCK])
    shared = rng.choice(PREFIXES)[: rng.choice([0, length, rng.randint(0, length)])]
    prompt = shared + [rng.randrange(VOCAB) for _ in range(length - len(shared))]
    params = SamplingParams(
        n=rng.choice([1, 1, 1, 2, 4]),
        max_tokens=rng.choice([1, 2, 8, 30, None, None]),
        prompt_logprobs=0 if rng.random() < 0.1 else None,
    )
    return Request(
        request_id=name,
        prompt_ids=prompt,
        params=params,
        seed=rng.randrange(1000),
        eos_ids=[STOP],
        priority=rng.randrange(3),
        cache_salt=rng.choice(["", "", "", "mine"]),
    )
