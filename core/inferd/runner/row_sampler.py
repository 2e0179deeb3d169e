"""RowSampler: the sampler as the runner uses it. One row's failure stays that row's.

Shape suffixes: N sampling rows of a step, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from inferd.contracts.logits_processor import LogitsProcessor
from inferd.contracts.model import CausalLM
from inferd.contracts.ops import Ops
from inferd.runner.forward import Forwarded
from inferd.runner.request_table import RequestTable
from inferd.runner.results import PendingLogprobs, PendingTokens
from inferd.runner.tokens import pack
from inferd.sampling.columns import SampleStep
from inferd.sampling.logprobs import LogprobTensors
from inferd.sampling.sampler import Sampled, Sampler
from inferd.types import RowStart


class RowSampler:
    """Failures are kept by row until the row's next start."""

    def __init__(
        self,
        table: RequestTable,
        model: CausalLM,
        ops: Ops,
        processors: Sequence[LogitsProcessor],
    ) -> None:
        self._table = table
        self._model = model
        self._sampler = Sampler(table.sampling, table.history_RL, ops, processors)
        self._errors: dict[int, str] = {}

    @property
    def host_processors(self) -> list[str]:
        return self._sampler.processors.on_host

    def admit(self, start: RowStart) -> None:
        """A row whose parameters cannot be taken over fails at its first sampled token."""
        self._errors.pop(start.row, None)
        try:
            self._sampler.admit(start)
        except Exception as error:
            self._fail(start.row, error)

    def errors_of(self, rows: Sequence[int]) -> dict[int, str]:
        if not self._errors:
            return {}
        return {row: self._errors[row] for row in rows if row in self._errors}

    def sample(
        self, done: Forwarded, step: SampleStep, errors: dict[int, str]
    ) -> tuple[PendingTokens, PendingLogprobs | None]:
        """Write each row's next token into the table. Adds rows that fail to `errors`."""
        assert done.logits is not None
        if done.likeliest is not None and not self._sampler.needs(step):
            return PendingTokens(done.likeliest, done.places), None
        try:
            sampled = self._sampler.sample(done.sampling(done.logits), step)
        except Exception:
            hidden_ND = done.hidden_TD[done.sampling(done.last)]
            self._find_offenders(hidden_ND, step)
            errors.update(self.errors_of(step.rows.tolist()))
            sampled = self._sampler.sample(self._model.compute_logits(hidden_ND), step)
        self._table.put_sampled(step, sampled.ids_N)
        return PendingTokens(pack(sampled.ids_N, sampled.best_N)), self._logprobs(sampled, step)

    def _find_offenders(self, hidden_ND: Tensor, step: SampleStep) -> None:
        """Sample each row alone, from fresh logits, and fail those that raise again."""
        for place, row in enumerate(step.rows.tolist()):
            alone = step.take(np.array([place]))
            logits_1V = self._model.compute_logits(hidden_ND[place : place + 1])
            try:
                self._sampler.sample(logits_1V, alone)
            except Exception as error:
                self._fail(row, error)

    def _fail(self, row: int, error: Exception) -> None:
        self._errors[row] = f"sampling failed: {type(error).__name__}: {error}"
        self._sampler.fail(row)

    def _logprobs(self, sampled: Sampled, step: SampleStep) -> PendingLogprobs | None:
        if sampled.logprobs is None:
            return None
        wanted = self._table.sampling.num_logprobs[step.rows[list(sampled.places)]].tolist()
        tensors: LogprobTensors = sampled.logprobs
        return PendingLogprobs(sampled.places, wanted, tensors)
