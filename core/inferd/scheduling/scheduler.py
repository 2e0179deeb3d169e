"""Scheduler: which sequences compute how many tokens in the next step. No tensors, no clock.

There is no prefill or decode phase. Each running sequence has `num_computed` and `max_len`; a step
hands out tokens from a budget to close that gap. Chunked prefill, prefix-cache hits, resume after
preemption and decoding are the same case.
"""

from __future__ import annotations

from collections import deque

from inferd.config.scheduler import SchedulerOptions
from inferd.contracts.policy import SchedulePolicy
from inferd.errors import ContextTooLong, RequestError
from inferd.memory.block_manager import BlockManager
from inferd.memory.block_table import CacheLayout
from inferd.memory.cache_events import CacheEvents
from inferd.scheduling.admission import Admission
from inferd.scheduling.commit import Commit
from inferd.scheduling.foresight import Foresight
from inferd.scheduling.lost import Lost
from inferd.scheduling.rows import Rows
from inferd.scheduling.running import Running
from inferd.scheduling.step import Step
from inferd.scheduling.waiting import WaitingQueue
from inferd.types import Request, Sequence, SequenceOutput, Status, StepPlan, StepResult, StepStats

SHARE = 8  # of what waits, in a step that would be short otherwise
ROWS = 32  # that run beside a short step's prompts; beside more, prompts are more in proportion


class Scheduler:
    """Owns every sequence from `add` to its last output. Deterministic; single-threaded."""

    def __init__(
        self,
        options: SchedulerOptions,
        layout: CacheLayout,
        max_model_len: int,
        policy: SchedulePolicy,
        *,
        enable_prefix_caching: bool = True,
        depth: int = 1,
        cache_events: CacheEvents | None = None,
    ) -> None:
        self.options = options
        self.pace = 0  # tokens of a step at most, fewer than the options'; 0: as many as theirs
        self.layout = layout
        self.depth = depth
        self.blocks = BlockManager(
            layout, options.max_num_batched_tokens, enable_prefix_caching, cache_events
        )
        self.rows = Rows(options.max_num_seqs)
        self.waiting = WaitingQueue()
        self.running = Running(self)
        self.in_flight: deque[Step] = deque()  # oldest first
        self.foresight = Foresight()
        self.lost = Lost(self)
        self.counters = StepStats(num_blocks=self.blocks.pool.total)
        self._max_model_len = max_model_len
        self._policy = policy
        self._requests: dict[str, list[Sequence]] = {}  # what has not finished
        self._admission = Admission(self)
        self._commit = Commit(self)
        self._next_order = 0
        self._next_step = 0

    # ---- requests

    def add(self, request: Request) -> None:
        """Queue a request. Raises RequestError when it can never run or the queue is full."""
        self.check(request)
        sequences = [
            Sequence(request, i, self._max_model_len, self._next_order)
            for i in range(request.params.n)
        ]
        self._next_order += 1
        for seq in sequences:
            seq.key = self._policy.key(seq)
            seq.leader = sequences[0] if seq.index else None
        if request.params.prompt_logprobs is not None and not request.output_ids:
            sequences[0].prompt_logprobs = [None]
        self._requests[request.request_id] = sequences
        for seq in sequences if request.output_ids else sequences[:1]:
            self.waiting.push(seq)

    def check(self, request: Request) -> None:
        """Raises what `add` raises."""
        prompt, limit = len(request.prompt_ids), self._max_model_len
        if request.request_id in self._requests:
            raise RequestError(f"request id {request.request_id!r} is already running")
        if prompt >= limit:
            raise ContextTooLong(
                f"the prompt has {prompt} tokens and the context is {limit}", "prompt"
            )
        if len(self.waiting) >= self.options.max_num_queued_reqs:
            raise RequestError(
                f"{len(self.waiting)} requests are waiting, the most that "
                "--max-num-queued-reqs allows; try again later",
                code="queue_full",
            )
        most = min(limit, prompt + (request.params.max_tokens or limit))
        need = self.layout.peak_blocks(most, self.options.max_num_batched_tokens)
        if need > self.blocks.pool.total:
            raise ContextTooLong(
                f"prompt and output of up to {most} tokens need {need} KV blocks and there are "
                f"{self.blocks.pool.total}; ask for fewer tokens or give the KV cache more memory",
                "max_tokens",
            )

    def abort(self, request_id: str, index: int | None = None) -> int:
        """Forget a request, or one of its samples; returns how many samples that ended."""
        sequences = self._requests.get(request_id, ())
        ended = [seq for seq in sequences if index is None or seq.index == index]
        for seq in ended:
            seq.finish_reason = "abort"
            self.retire(seq)
        return len(ended)

    # ---- steps

    def schedule(self) -> StepPlan | None:
        """The next step, or None when nothing can be computed now."""
        if len(self.in_flight) > self.depth:
            return None
        size, chunked = self.layout.block_size, self.options.enable_chunked_prefill
        step = Step(self._next_step, self._budget(), size, chunked)
        self.running.serve(step)
        if not step.preempted:
            self._admission.admit(step)
        if step.is_empty:
            return None
        self._next_step += 1
        step.new_tokens, step.restart = self.foresight.take(), self.lost.take()
        self.in_flight.append(step)
        self._register_prompts(step)
        self.counters.num_steps += 1
        self.counters.num_tokens += step.num_tokens
        return step.plan()

    def _budget(self) -> int:
        """Short steps keep answers flowing; the more waits or runs, the more prompts one takes."""
        most = self.pace or self.options.max_num_batched_tokens
        short = self.options.short_step_tokens
        if not short or not self.options.enable_chunked_prefill:
            return most
        running = len(self.running.sequences)
        prompts = max(short, self.waiting.num_tokens // SHARE, short * running // ROWS)
        return min(most, prompts + running)

    def _register_prompts(self, step: Step) -> None:
        """Prompt blocks computed by this step are readable by later ones, never by this one."""
        for seq, _, end in step.prefills:
            self.blocks.register(seq, min(end, seq.num_prompt))
            if end >= seq.num_prompt and seq.index == 0:
                self._release_siblings(seq)

    def _release_siblings(self, leader: Sequence) -> None:
        for seq in self._requests.get(leader.request.request_id, ()):
            if seq.status == Status.WAITING and seq not in self.waiting:
                self.waiting.push(seq)

    def commit(self, result: StepResult) -> list[SequenceOutput]:
        """Apply the oldest step's result; entries whose epoch has passed are dropped."""
        return self._commit.apply(result)

    def retire(self, seq: Sequence) -> None:
        """A sequence has ended, whatever it was doing."""
        self.waiting.discard(seq)
        self.running.leave(seq)
        seq.status = Status.FINISHED
        request_id = seq.request.request_id
        left = [other for other in self._requests[request_id] if other is not seq]
        if not left:
            del self._requests[request_id]
            return
        self._requests[request_id] = left
        if seq.index == 0:
            self._release_siblings(seq)

    # ---- state

    @property
    def last_step(self) -> int | None:
        """The latest step in flight: what is freed now may still be touched until it is done."""
        return self.in_flight[-1].step_id if self.in_flight else None

    @property
    def has_work(self) -> bool:
        return bool(self._requests or self.in_flight)

    def stats(self) -> StepStats:
        counters = self.counters
        counters.num_running = len(self.running.sequences)
        counters.num_waiting = len(self.waiting)
        counters.num_blocks_used = self.blocks.pool.num_used
        return counters

    def reset_prefix_cache(self) -> None:
        self.blocks.forget()
