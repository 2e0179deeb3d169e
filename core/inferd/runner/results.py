"""Pending: what a step sampled, on its way from the device to a StepResult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from inferd.memory.staging import Readback
from inferd.runner.prompt_logprobs import Wanted, collect_rows
from inferd.sampling.logprobs import LogprobTensors, to_logprobs
from inferd.sampling.sampler import Sampled
from inferd.types import StepPlan, StepResult

NOT_FINITE = "the model produced logits that are not finite, or no token is allowed"


@dataclass(frozen=True, slots=True)
class PendingLogprobs:
    """Which entries of the result the tensors belong to, and how many values each wants."""

    places: Sequence[int]
    wanted: Sequence[int]
    tensors: LogprobTensors


class Pending:
    """The copies to the host have been submitted; `result` waits for them."""

    def __init__(
        self,
        plan: StepPlan,
        sampled: Sampled | None,
        logprobs: PendingLogprobs | None,
        prompt: Sequence[tuple[Wanted, LogprobTensors]],
        errors: dict[int, str],
    ) -> None:
        tensors: list[Tensor] = []
        if sampled is not None:
            tensors += [sampled.ids_N, sampled.best_N]
        if logprobs is not None:
            tensors += logprobs.tensors.tensors
        for _, each in prompt:
            tensors += each.tensors
        self._plan = plan
        self._sampled = sampled is not None
        self._logprobs = logprobs
        self._prompt = [wanted for wanted, _ in prompt]
        self._errors = errors
        self._readback = Readback(tensors)

    def result(self) -> StepResult:
        plan = self._plan
        tensors = iter(self._readback.wait())
        rows = _sampling(plan.rows, plan.samples)
        result = StepResult(
            plan.step_id, rows, _sampling(plan.epochs, plan.samples), [], errors=self._errors
        )
        if self._sampled:
            result.token_ids = next(tensors).tolist()
            self._check(result, next(tensors))
        if self._logprobs is not None:
            values = to_logprobs([next(tensors) for _ in range(3)], self._logprobs.wanted)
            for place, value in zip(self._logprobs.places, values, strict=True):
                result.logprobs[rows[place]] = value
        if self._prompt:
            triples = [[next(tensors) for _ in range(3)] for _ in self._prompt]
            result.prompt_logprobs = collect_rows(self._prompt, triples)
        return result

    def _check(self, result: StepResult, best_N: Tensor) -> None:
        finite = np.isfinite(best_N.numpy())
        if not finite.all():
            for place in np.flatnonzero(~finite):
                result.errors.setdefault(result.rows[place], NOT_FINITE)


def _sampling(values: list[int], samples: list[bool]) -> list[int]:
    if all(samples):
        return values
    return [value for value, sample in zip(values, samples, strict=True) if sample]
