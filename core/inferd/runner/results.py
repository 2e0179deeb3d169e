"""Pending: what a step sampled, on its way from the device to a StepResult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from inferd.memory.staging import Readback
from inferd.runner.prompt_logprobs import Wanted, collect_rows
from inferd.runner.tokens import unpack
from inferd.sampling.columns import Positions
from inferd.sampling.logprobs import LogprobTensors, to_logprobs
from inferd.types import StepPlan, StepResult

NOT_FINITE = "the model produced logits that are not finite, or no token is allowed"


@dataclass(frozen=True, slots=True)
class PendingTokens:
    """Of a step's sampling rows, and of others that are passed over."""

    packed_P: Tensor  # see `tokens`
    places: Positions | None = None  # of the sampling rows; None: they come first


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
        tokens: PendingTokens | None,
        logprobs: PendingLogprobs | None,
        prompt: Sequence[tuple[Wanted, LogprobTensors]],
        errors: dict[int, str],
    ) -> None:
        tensors: list[Tensor] = []
        if tokens is not None:
            tensors.append(tokens.packed_P)
        if logprobs is not None:
            tensors += logprobs.tensors.tensors
        for _, each in prompt:
            tensors += each.tensors
        self._plan = plan
        self._tokens = tokens
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
        if self._tokens is not None:
            self._take_tokens(result, next(tensors), self._tokens.places)
        if self._logprobs is not None:
            values = to_logprobs([next(tensors) for _ in range(3)], self._logprobs.wanted)
            for place, value in zip(self._logprobs.places, values, strict=True):
                result.logprobs[rows[place]] = value
        if self._prompt:
            triples = [[next(tensors) for _ in range(3)] for _ in self._prompt]
            result.prompt_logprobs = collect_rows(self._prompt, triples)
        return result

    def _take_tokens(self, result: StepResult, packed_P: Tensor, places: Positions | None) -> None:
        ids, best = unpack(packed_P)
        wanted = slice(len(result.rows)) if places is None else places
        result.token_ids = ids[wanted].tolist()
        finite = np.isfinite(best[wanted])
        if not finite.all():
            for place in np.flatnonzero(~finite):
                result.errors.setdefault(result.rows[place], NOT_FINITE)


def _sampling(values: list[int], samples: list[bool]) -> list[int]:
    if all(samples):
        return values
    return [value for value, sample in zip(values, samples, strict=True) if sample]
