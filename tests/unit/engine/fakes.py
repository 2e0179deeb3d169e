"""A worker without a model: the next token is a hash of the tokens before it."""

from __future__ import annotations

import hashlib
from collections import deque
from types import SimpleNamespace
from typing import Any

from inferd.contracts.executor import Executor, WorkerInfo
from inferd.scheduling.policy import FcfsPolicy
from inferd.types import RowStart, StepMasks, StepPlan, StepResult

VOCAB = 1000


def next_token(tokens: list[int]) -> int:
    digest = hashlib.blake2b(repr(tokens).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") % VOCAB


class HashExecutor(Executor):
    """Keeps each row's tokens; results wait in a queue, as a device's would."""

    name = "hash"
    num_blocks = 64

    def __init__(self, config: Any, plugins: str) -> None:
        self.rows: dict[int, list[int]] = {}
        self.queue: deque[StepPlan] = deque()
        self.results: deque[StepResult] = deque()
        self.submitted: list[int] = []
        self.max_in_flight = 0

    def start(self) -> WorkerInfo:
        return WorkerInfo(512, VOCAB, self.num_blocks, 16, (("full", None),), {})

    def forward(self, plan: StepPlan) -> None:
        self.queue.append(plan)
        self.submitted.append(plan.step_id)

    def sample(self, step_id: int, masks: StepMasks | None = None) -> None:
        plan = self.queue.popleft()
        assert plan.step_id == step_id
        for start in plan.new_rows:
            self._enter(start)
        for row, position, token in plan.new_tokens:
            assert position == len(self.rows[row])
            self.rows[row].append(token)
        sampled = [i for i, samples in enumerate(plan.samples) if samples]
        tokens = []
        for i in sampled:
            row = self.rows[plan.rows[i]]
            tokens.append(next_token(row))
            row.append(tokens[-1])
        rows = [plan.rows[i] for i in sampled]
        epochs = [plan.epochs[i] for i in sampled]
        self.results.append(StepResult(plan.step_id, rows, epochs, tokens))
        self.max_in_flight = max(self.max_in_flight, len(self.results))

    def _enter(self, start: RowStart) -> None:
        self.rows[start.row] = [*start.prompt_ids, *start.output_ids]

    def collect(self) -> StepResult:
        return self.results.popleft()

    def stop(self) -> None:
        self.rows.clear()


def fake_host(executor: type[Executor]) -> Any:
    def registry(kind: type) -> SimpleNamespace:
        return SimpleNamespace(load=lambda _name: kind, make=lambda _, *args: kind(*args))

    catalog = SimpleNamespace(
        executors=registry(executor),
        schedule_policies=registry(FcfsPolicy),
        grammars=SimpleNamespace(names=[]),
    )
    return SimpleNamespace(catalog=catalog, resolved="none")
