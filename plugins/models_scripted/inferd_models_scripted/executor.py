"""ScriptedExecutor: a worker without a device, whose every sequence follows a script."""

from __future__ import annotations

import time
from collections import deque

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import Executor, WorkerInfo
from inferd.types import Logprobs, RowStart, StepMasks, StepPlan, StepResult
from inferd_models_scripted.options import ScriptOptions
from inferd_models_scripted.scripts import Script, Scripts

CONTEXT = 32_768
NUM_BLOCKS = 65_536  # they hold nothing, so that memory is no limit


class Row:
    """A sequence, by what it started with."""

    __slots__ = ("ends", "num_prompt", "other", "script", "start")

    def __init__(self, start: RowStart, script: Script) -> None:
        self.start = start
        self.num_prompt = len(start.prompt_ids)
        self.ends = start.eos_ids[0] if start.eos_ids else None
        self.script = script
        self.other: int | None = None  # a token of the script that a grammar wrote another for

    def token(self, length: int) -> int:
        """What follows `length` tokens, the prompt's included."""
        place = length - self.num_prompt
        if self.ends is not None and place >= len(self.script):
            return self.ends
        return self.script[place % len(self.script)]

    def error(self, token_id: int, words: memoryview | None) -> str | None:
        """Why the sequence cannot go on with its script."""
        if self.start.wants_prompt_logprobs:
            return "a scripted executor has no log-probabilities of prompts"
        if words is not None and not words[token_id // 8] >> token_id % 8 & 1:
            self.other = token_id
        if self.other is not None:
            return f"the grammar does not allow the script's token {self.other}"
        return None


class ScriptedExecutor(Executor):
    """A step is due 1 / tokens_per_second after it is sampled and after the one before it."""

    name = "scripted"

    def __init__(self, config: EngineConfig, plugins: str, *, options: ScriptOptions) -> None:  # noqa: ARG002
        self._config = config
        self._options = options
        self._scripts = Scripts(options.script, options.vocab_size)
        self._rows: dict[int, Row] = {}
        self._plan: StepPlan | None = None
        self._results: deque[tuple[float, StepResult]] = deque()
        self._interval = 1 / options.tokens_per_second if options.tokens_per_second else 0.0
        self._due = 0.0  # of the newest step; monotonic seconds

    def start(self) -> WorkerInfo:
        self._scripts.of(0, 0)
        return WorkerInfo(
            max_model_len=self._config.model.max_model_len or CONTEXT,
            vocab_size=self._options.vocab_size,
            num_blocks=self._config.cache.num_blocks or NUM_BLOCKS,
            block_size=self._config.cache.block_size,
            groups=(("full", None),),
            summary={"device": "none", "model": "scripted"},
        )

    def forward(self, plan: StepPlan) -> None:
        for start in plan.new_rows:
            self._rows[start.row] = Row(start, self._scripts.of(start.seed, start.index))
        for number, position, token_id in plan.new_tokens:
            row = self._rows[number]
            if row.other is None and row.token(position) != token_id:
                row.other = row.token(position)
        self._plan = plan

    def sample(self, step_id: int, masks: StepMasks | None = None) -> None:
        plan = self._plan
        assert plan is not None, "sampled before a forward"
        self._due = max(time.monotonic(), self._due) + self._interval
        self._results.append((self._due, self._result(step_id, plan, _words_by_row(masks))))

    def _result(self, step_id: int, plan: StepPlan, words: dict[int, memoryview]) -> StepResult:
        result = StepResult(step_id, [], [], [])
        lengths = map(sum, zip(plan.starts, plan.num_tokens, strict=True))
        for number, length, epoch, samples in zip(
            plan.rows, lengths, plan.epochs, plan.samples, strict=True
        ):
            if not samples:
                continue
            row = self._rows[number]
            token_id = row.token(length)
            result.rows.append(number)
            result.epochs.append(epoch)
            result.token_ids.append(token_id)
            if row.start.params.logprobs is not None:
                result.logprobs[number] = Logprobs([token_id], [0.0], 1)
            if (error := row.error(token_id, words.get(number))) is not None:
                result.errors[number] = error
        return result

    def collect(self) -> StepResult:
        due, result = self._results.popleft()
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)
        return result

    def stop(self) -> None:
        self._rows.clear()


def _words_by_row(masks: StepMasks | None) -> dict[int, memoryview]:
    if masks is None:
        return {}
    size = len(masks.words) // len(masks.rows)
    return {row: masks.words[i * size : (i + 1) * size] for i, row in enumerate(masks.rows)}
