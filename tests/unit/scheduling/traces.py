"""Scheduling as text: "3: decode a, prefill b[0:16]". Samples of one request are a/0, a/1."""

from __future__ import annotations

from collections import deque

from inferd.config.scheduler import SchedulerOptions
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.params import SamplingParams
from inferd.scheduling.policy import FcfsPolicy, PriorityPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.types import Request, SequenceOutput, StepPlan, StepResult

CONTEXT = 256
TOKEN = 5


class Desk:
    """A scheduler with blocks of 4 tokens, and the plans in flight."""

    def __init__(
        self,
        *,
        blocks: int = 65,
        rows: int = 8,
        budget: int = 16,
        short: int = 0,
        depth: int = 1,
        chunked: bool = True,
        caching: bool = True,
        priority: bool = False,
        groups: tuple[GroupSpec, ...] = (GroupSpec(),),
        queue: int = 100,
    ) -> None:
        options = SchedulerOptions(
            max_num_seqs=rows,
            max_num_batched_tokens=budget,
            short_step_tokens=short,
            enable_chunked_prefill=chunked,
            max_num_queued_reqs=queue,
        )
        self.scheduler = Scheduler(
            options,
            CacheLayout(blocks, 4, groups),
            CONTEXT,
            PriorityPolicy() if priority else FcfsPolicy(),
            enable_prefix_caching=caching,
            depth=depth,
        )
        self.plans: deque[StepPlan] = deque()
        self.names: dict[int, str] = {}  # by row
        self.outputs: list[SequenceOutput] = []

    def add(
        self,
        name: str,
        prompt: int | list[int],
        *,
        output_ids: list[list[int]] | None = None,
        eos_ids: list[int] | None = None,
        priority: int = 0,
        salt: str = "",
        **params: object,
    ) -> None:
        """A prompt given by its length shares no token with others."""
        if isinstance(prompt, int):
            prompt = [1000 * ord(name[0]) + i for i in range(prompt)]
        self.scheduler.add(
            Request(
                request_id=name,
                prompt_ids=prompt,
                params=SamplingParams(**{"max_tokens": 8, **params}),
                seed=0,
                output_ids=output_ids or [],
                eos_ids=eos_ids or [],
                priority=priority,
                cache_salt=salt,
            )
        )

    def schedule(self) -> str | None:
        plan = self.scheduler.schedule()
        if plan is None:
            return None
        self.plans.append(plan)
        for start in plan.new_rows:
            samples = f"/{start.index}" if start.params.n > 1 else ""
            self.names[start.row] = start.request_id + samples
        return self._describe(plan)

    def commit(self, token: int = TOKEN, **parts: object) -> list[SequenceOutput]:
        plan = self.plans.popleft()
        sampling = [i for i, samples in enumerate(plan.samples) if samples]
        result = StepResult(
            plan.step_id,
            [plan.rows[i] for i in sampling],
            [plan.epochs[i] for i in sampling],
            [token] * len(sampling),
            **parts,
        )
        outputs = self.scheduler.commit(result)
        self.outputs += outputs
        return outputs

    def turn(self) -> str | None:
        """What Engine.step does."""
        text = self.schedule()
        if self.plans and (text is None or len(self.plans) > self.scheduler.depth):
            self.commit()
        return text

    def turns(self, count: int) -> list[str | None]:
        return [self.turn() for _ in range(count)]

    def run(self) -> list[str]:
        """To the end."""
        lines = []
        while self.scheduler.has_work:
            lines.append(self.turn())
        return [line for line in lines if line is not None]

    def finished(self) -> dict[str, str]:
        ended = [output for output in self.outputs if output.finish_reason]
        return {f"{out.request_id}/{out.index}": out.finish_reason for out in ended}

    def _describe(self, plan: StepPlan) -> str:
        decodes: list[str] = []
        chunks: list[str] = []
        starts = {start.row: start for start in plan.new_rows}
        spans: dict[int, list[int]] = {}  # a row may come once for each of its tokens
        for row, start, num in zip(plan.rows, plan.starts, plan.num_tokens, strict=True):
            spans.setdefault(row, []).extend((start, start + num))
        for row, ends in spans.items():
            start, end = min(ends), max(ends)
            if end - start == 1 and row not in starts:
                decodes.append(self.names[row])
            else:
                chunks.append(f"{self.names[row]}[{start}:{end}]")
        parts = [f"decode {' '.join(decodes)}"] if decodes else []
        parts += [f"prefill {' '.join(chunks)}"] if chunks else []
        parts += [f"copy {len(plan.copies)}"] if plan.copies else []
        return f"{plan.step_id}: {', '.join(parts)}"
