"""Commit: a step's result becomes known tokens, finished sequences and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.scheduling.step import Step
from inferd.types import Logprobs, Sequence, SequenceOutput, Status, StepResult

if TYPE_CHECKING:
    from inferd.scheduling.scheduler import Scheduler


class Commit:
    """Applies results in the order of their steps."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._s = scheduler

    def apply(self, result: StepResult) -> list[SequenceOutput]:
        """Raises RuntimeError when the result is not that of the oldest step."""
        step = self._s.in_flight.popleft()
        if result.step_id != step.step_id:
            raise RuntimeError(f"expected the result of step {step.step_id}, got {result.step_id}")
        self._s.blocks.pool.collect(step.step_id)
        if result.prompt_logprobs:
            self._keep_prompt_logprobs(step, result.prompt_logprobs)
        ended: list[Sequence] = []
        outputs = self._accept(step, result, ended)
        self._register(step)
        for seq in ended:
            self._s.retire(seq)
        self._s.running.requeue_drained()
        return outputs

    def _accept(
        self, step: Step, result: StepResult, ended: list[Sequence]
    ) -> list[SequenceOutput]:
        """Append each sampled token to its sequence and decide whether it ends it."""
        outputs: list[SequenceOutput] = []
        logprobs, errors = result.logprobs, result.errors
        for seq, epoch, token_id in zip(step.sampling, step.epochs, result.token_ids, strict=True):
            if seq.epoch != epoch:
                continue
            seq.in_flight -= 1
            if errors and seq.row in errors:
                outputs.append(self._fail(seq, errors[seq.row]))
                ended.append(seq)
                continue
            seq.output_ids.append(token_id)
            seq.num_known += 1
            output = SequenceOutput(seq.request.request_id, seq.index, [token_id])
            outputs.append(output)
            if token_id in seq.stop_ids or seq.num_known >= seq.max_total:
                self._finish(seq, token_id, output)
                if seq.finish_reason is not None:
                    ended.append(seq)
            if len(seq.output_ids) == 1:
                self._first(seq, output)
            if logprobs and seq.row in logprobs:
                output.logprobs = [logprobs[seq.row]]
            if seq.ahead and seq.finish_reason is None:
                self._follow(seq, output)
        return outputs

    def _follow(self, seq: Sequence, output: SequenceOutput) -> None:
        """With the tokens that were known to come next."""
        output.token_ids += seq.ahead
        seq.output_ids += seq.ahead
        seq.num_known += len(seq.ahead)
        seq.ahead = []

    def _fail(self, seq: Sequence, error: str) -> SequenceOutput:
        seq.finish_reason = "error"
        return SequenceOutput(seq.request.request_id, seq.index, [], "error", error=error)

    def _finish(self, seq: Sequence, token_id: int, output: SequenceOutput) -> None:
        params = seq.request.params
        if token_id in seq.stop_ids and len(seq.output_ids) > params.min_tokens:
            seq.finish_reason = "stop"
            output.stop_reason = None if token_id in seq.request.eos_ids else token_id
        elif seq.num_known >= seq.max_total:
            seq.finish_reason = "length"
        output.finish_reason = seq.finish_reason

    def _first(self, seq: Sequence, output: SequenceOutput) -> None:
        """What is said once, with the first token."""
        output.num_cached = seq.num_cached
        if seq.prompt_logprobs is not None:
            output.prompt_logprobs = seq.prompt_logprobs
            seq.prompt_logprobs = None

    def _keep_prompt_logprobs(self, step: Step, found: dict[int, list[Logprobs]]) -> None:
        for seq, epoch, _ in step.prefills:
            if seq.epoch == epoch and seq.row in found and seq.prompt_logprobs is not None:
                seq.prompt_logprobs.extend(found[seq.row])

    def _register(self, step: Step) -> None:
        """Blocks this step filled whose tokens are known by now."""
        for seq, epoch, computed in step.completed:
            if seq.epoch == epoch and seq.status == Status.RUNNING:
                self._s.blocks.register(seq, min(computed, seq.num_known))
