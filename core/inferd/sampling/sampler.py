"""Sampler: from logits to the next token of every row.

In vLLM's order: raw log-probabilities are taken; masks of grammars; allowed tokens, bad words,
min_tokens, logit bias; plugins' processors; penalties; temperature; min_p, top_k, top_p;
Gumbel-max. A batch of greedy rows takes the largest logit and nothing else.

Shape suffixes: N rows of a step, R rows of the request table, V vocabulary, L history, F columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inferd.contracts.logits_processor import LogitsProcessor
from inferd.contracts.ops import Ops
from inferd.contracts.sampling_ops import FilterParams
from inferd.memory.staging import upload_ints
from inferd.sampling.bias import TokenBias
from inferd.sampling.columns import Float, Int, Need, Positions, SampleStep, SamplingColumns
from inferd.sampling.logprobs import LogprobTensors
from inferd.sampling.penalties import PenaltyParams, apply_penalties
from inferd.sampling.processors import Processors
from inferd.types import RowStart

SUMS = Need.PENALTIES | Need.BIAS | Need.PROCESSORS  # changes of the logits, in float32
CHANGES = Need.MASK | SUMS  # in place
KINDS = Need.RANDOM | Need.FILTER  # which of the ops picks the token


@dataclass(frozen=True, slots=True)
class Sampled:
    """On the device. `best_N` is not finite where no token could be sampled."""

    ids_N: Tensor  # int64
    best_N: Tensor  # float32, the largest logit after all changes
    logprobs: LogprobTensors | None
    places: Sequence[int]  # rows of the step that `logprobs` has, in order


class Sampler:
    """Reads the columns of the request table and its token history; writes neither in a step."""

    def __init__(
        self,
        columns: SamplingColumns,
        history_RL: Tensor,
        ops: Ops,
        processors: Sequence[LogitsProcessor] = (),
    ) -> None:
        self._columns = columns
        self._history_RL = history_RL
        self._device = columns.device
        self._ops = ops
        self._bias = TokenBias(self._device, columns.ints_RI[:, Int.PROMPT_LEN])
        self.processors = Processors(processors, columns.flags.shape[0], self._device)

    def admit(self, start: RowStart) -> None:
        """After the columns of the row were written. Raises what a plugin's processor raises."""
        flags = self._columns.flags
        self._bias.clear(start.row)
        if flags[start.row] & Need.BIAS:
            self._bias.write(start)
        if self.processors.admit(start.row, start.params):
            flags[start.row] |= Need.PROCESSORS

    def fail(self, row: int) -> None:
        """Forget what the row asked for; until its request is gone it samples greedily."""
        self._columns.clear(row)
        self._bias.clear(row)
        self.processors.clear(row)

    def needs(self, step: SampleStep) -> int:
        """The union of Need over the rows; 0 when all want the largest logit and nothing else."""
        return self._columns.needs(step.rows)

    def sample(self, logits_NV: Tensor, step: SampleStep) -> Sampled:
        """May change `logits_NV`. Raises what a plugin's processor raises."""
        need = self.needs(step)
        if not need:
            best_N, ids_N = self._ops.argmax(logits_NV)
            return Sampled(ids_N, best_N, None, ())
        places = self._columns.places(step.rows, Need.LOGPROBS)
        if need & SUMS:
            logits_NV = logits_NV.float()
        raw_NV = self._raw(logits_NV, places, need) if len(places) else logits_NV
        self._change(logits_NV, step, need)
        best_N, ids_N = self._pick(logits_NV, step)
        logprobs = None
        if len(places):
            chosen_N = ids_N[upload_ints(places, self._device)]
            most = int(self._columns.num_logprobs[step.rows[places]].max())
            logprobs = LogprobTensors(*self._ops.top_logprobs(raw_NV, chosen_N, most))
        return Sampled(ids_N, best_N, logprobs, places.tolist())

    def _raw(self, logits_NV: Tensor, places: Positions, need: int) -> Tensor:
        """The logits of the rows that want log-probabilities, safe from later changes."""
        if len(places) < len(logits_NV):
            return logits_NV[upload_ints(places, self._device)]
        return logits_NV.clone() if need & CHANGES else logits_NV

    def _change(self, logits_NV: Tensor, step: SampleStep, need: int) -> None:
        if need & Need.MASK and (found := self._columns.masks.of(step.rows)) is not None:
            self._ops.mask(logits_NV, *found)
        if need & Need.BIAS:
            self._bias.apply(logits_NV, self._history_RL, step)
        if need & Need.PROCESSORS:
            self.processors.apply(logits_NV, step)
        if need & Need.PENALTIES:
            self._penalize(logits_NV, step)

    def _penalize(self, logits_NV: Tensor, step: SampleStep) -> None:
        columns = self._columns
        places = columns.places(step.rows, Need.PENALTIES)
        part, part_NV = self._part(step, logits_NV, places)
        floats_NF = columns.floats_RF[part.rows_N]
        params = PenaltyParams(
            floats_NF[:, Float.REPETITION],
            floats_NF[:, Float.PRESENCE],
            floats_NF[:, Float.FREQUENCY],
            columns.ints_RI[part.rows_N, Int.PROMPT_LEN],
            part.ends_N,
        )
        apply_penalties(part_NV, self._history_RL[part.rows_N, : int(part.ends.max())], params)
        if part is not step:
            logits_NV[upload_ints(places, self._device)] = part_NV

    def _pick(self, logits_NV: Tensor, step: SampleStep) -> tuple[Tensor, Tensor]:
        """Largest logit and id of every row: greedy, random and filtered ones apart."""
        kinds = self._columns.flags[step.rows] & KINDS
        found = np.unique(kinds)
        if len(found) == 1:
            return self._pick_kind(logits_NV, step, int(found[0]))
        best_N = torch.empty(len(kinds), device=self._device)
        ids_N = torch.empty(len(kinds), dtype=torch.int64, device=self._device)
        for kind in found:
            places = np.flatnonzero(kinds == kind)
            part, part_NV = self._part(step, logits_NV, places)
            picked = self._pick_kind(part_NV, part, int(kind))
            at = upload_ints(places, self._device)
            best_N[at], ids_N[at] = picked
        return best_N, ids_N

    def _pick_kind(self, logits_NV: Tensor, step: SampleStep, kind: int) -> tuple[Tensor, Tensor]:
        if not kind & Need.RANDOM:
            return self._ops.argmax(logits_NV)
        columns = self._columns
        floats_NF, ints_NI = columns.floats_RF[step.rows_N], columns.ints_RI[step.rows_N]
        keys_N, temperature_N = ints_NI[:, Int.KEY], floats_NF[:, Float.TEMPERATURE]
        if not kind & Need.FILTER:
            return self._ops.draw(logits_NV, temperature_N, keys_N, step.ends_N)
        top_k = columns.top_k[step.rows]
        params = FilterParams(
            temperature_N,
            ints_NI[:, Int.TOP_K],
            floats_NF[:, Float.TOP_P],
            floats_NF[:, Float.MIN_P],
            most_k=int(top_k.max()),
            unbounded=bool((top_k == 0).any()),
        )
        return self._ops.draw_filtered(logits_NV, params, keys_N, step.ends_N)

    def _part(
        self, step: SampleStep, logits_NV: Tensor, places: Positions
    ) -> tuple[SampleStep, Tensor]:
        """Some rows of a step with a copy of their logits; the step itself when it is all rows."""
        if len(places) == len(step.rows):
            return step, logits_NV
        return step.take(places), logits_NV[upload_ints(places, self._device)]
