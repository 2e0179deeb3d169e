"""Forward: the first launch of a step, from a plan to hidden states and logits.

Shape suffixes: T tokens of a step, N positions that need logits, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from inferd.contracts.platform import Record
from inferd.memory.staging import upload_ints
from inferd.runner.build import Built
from inferd.runner.graphs import StepGraphs
from inferd.runner.inputs import InputBuilder, StepArray
from inferd.runner.request_table import RequestTable
from inferd.runner.tapes import StepTapes
from inferd.runner.whole_step import Ran, WholeStep
from inferd.sampling.columns import Positions, SampleStep
from inferd.types import Batch, StepPlan


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A step between its two launches. Tensors may have more rows than sample: see `places`."""

    plan: StepPlan
    step: SampleStep | None  # None when no row samples
    hidden_TD: Tensor
    last: Tensor  # indices into T of the positions that have logits
    logits: Tensor | None
    likeliest: Tensor | None = None  # packed tokens of a recorded step, which the table has
    places: Positions | None = None  # of the sampling rows; None: they come first

    def sampling(self, rows: Tensor) -> Tensor:
        """What belongs to the rows that sample."""
        if self.places is not None:
            return rows[upload_ints(self.places, rows.device)]
        return rows if self.step is None else rows[: len(self.step.rows)]


class Forward:
    """Replays a recorded step where one is large enough, else launches op by op."""

    def __init__(
        self,
        built: Built,
        table: RequestTable,
        inputs: InputBuilder,
        block_size: int,
        *,
        eager: bool,
    ) -> None:
        self._model, self._caches = built.model, built.caches
        self._specs = built.groups.specs
        self._platform, self._attention = built.choices.platform, built.choices.attention
        self._block_size = block_size
        self._inputs = inputs
        whole = WholeStep(table, inputs, built.choices.ops.argmax)
        self._graphs = StepGraphs(self._platform, whole)
        self._tapes = StepTapes(None if eager else _recorder(built), whole)

    @property
    def recordable(self) -> bool:
        return all((self._platform.can_record, self._attention.recordable, self._model.recordable))

    def rehearse(self, most_tokens: int) -> None:
        """The steps that `record` will run, where ops may run nothing."""
        self._graphs.rehearse(self.run, most_tokens)

    def record(self, most_tokens: int) -> int:
        """Record the steps of up to `most_tokens`; returns how many sizes there are."""
        return self._graphs.record(self.run, most_tokens)

    def __call__(self, plan: StepPlan) -> Forwarded:
        ran = self._graphs.replay(plan) or self._tapes.run(plan, self.run)
        if ran is not None:
            return self._recorded(plan, ran)
        played = self._tapes.hidden(plan, self._hidden)
        if played is not None:
            return self._with_head(plan, *played)
        batch, step = self._inputs.batch(plan)
        if step is None:
            return Forwarded(plan, None, self._hidden(batch), batch.logits_N, None)
        hidden_TD, logits_NV = self.run(batch)
        return Forwarded(plan, step, hidden_TD, batch.logits_N, logits_NV)

    def _recorded(self, plan: StepPlan, ran: Ran) -> Forwarded:
        return Forwarded(
            plan,
            self._inputs.sample_step(plan, ran.host, ran.step_5X),
            ran.hidden_TD,
            ran.last_R,
            ran.logits_RV,
            likeliest=ran.likeliest_P,
            places=None if all(plan.samples) else np.flatnonzero(plan.samples),
        )

    def _with_head(
        self, plan: StepPlan, host: StepArray, step_5X: Tensor, outputs: Sequence[Tensor]
    ) -> Forwarded:
        """Of a step of single tokens; rows that sample come first."""
        hidden_TD, last_R = outputs
        num = sum(plan.samples)
        step = self._inputs.sample_step(plan, host, step_5X)
        logits_NV = self._model.compute_logits(hidden_TD[:num])
        return Forwarded(plan, step, hidden_TD, last_R[:num], logits_NV)

    def run(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Hidden states of all tokens, and logits where they are needed."""
        hidden_TD = self._hidden(batch)
        return hidden_TD, self._model.compute_logits(_select(hidden_TD, batch))

    def _hidden(self, batch: Batch) -> Tensor:
        batch.attention = [
            self._attention.plan(batch, group, spec, self._block_size)
            for group, spec in enumerate(self._specs)
        ]
        hidden_TD: Tensor = self._model(batch, self._caches)
        return hidden_TD


def _recorder(built: Built) -> Record | None:
    """Of ops and attention that can be recorded as they run."""
    if not (built.choices.attention.recordable and built.model.recordable):
        return None
    providers = built.choices.op_providers.values()
    return next((each.record for each in providers if each.record is not None), None)


def _select(hidden_TD: Tensor, batch: Batch) -> Tensor:
    """The positions that need logits, in place where that is all of them."""
    if len(batch.logits_N) == batch.num_tokens:
        return hidden_TD
    return hidden_TD[batch.logits_N]
