"""SqueezeMatrix: one matrix as SqueezeLLM stores it, dense and sparse.

    qweight           int32 [K / 32 * bits, N]   codes, packed along K from the lowest bit on
    lookup_table      float [N, 2 ** bits]       each output's values
    rows              int32 [N + 1]              where each output's outliers begin; in all E
    cols              int32 [E]                  their inputs
    vals              float [E]                  what is added there
    full_rows         float [K, X]               what is added to some outputs everywhere
    full_row_indices  int32 [X]                  which outputs

A column of qweight is one string of bits: with 3 bits a code goes on in the next word.
Shape suffixes as in inferd.contracts.lookup_format; X full rows.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
from torch import Tensor

from inferd.contracts.lookup_format import LookupWeight, Outliers
from inferd.contracts.quantization import Drawn
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat, Stored

assert sys.byteorder == "little"  # words are viewed as bytes
INT32, WORD = ("int32",), 32
DRAWN_ONE_IN = 256  # of a dummy's values is an outlier, as in published checkpoints (0.45 %)


class SqueezeMatrix(MatrixFormat):
    def __init__(self, bits: int, sparse: bool, full_rows: int) -> None:
        self._bits, self._sparse, self._full_rows = bits, sparse, full_rows

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        if columns % WORD:
            raise UnsupportedModel(f"{name}: its {columns} inputs are no multiple of {WORD}")
        found = {
            "qweight": Stored((columns // WORD * self._bits, rows), INT32),
            "lookup_table": Stored((rows, 2**self._bits)),
        }
        if self._sparse:
            found["rows"] = Stored((rows + 1,), INT32)
            found["cols"] = Stored((-1,), INT32)
            found["vals"] = Stored((-1,))
        if self._full_rows:
            found["full_rows"] = Stored((columns, self._full_rows))
            found["full_row_indices"] = Stored((self._full_rows,), INT32)
        return found

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        each, device = -(-columns // DRAWN_ONE_IN), generator.device
        steps = {"rows": each, "full_row_indices": 1}
        if suffix in steps:
            (count,) = self.tensors("", rows, columns)[suffix].shape
            return Drawn("int32", torch.arange(count, device=device).int() * steps[suffix])
        if suffix == "cols":
            columns_E = torch.arange(rows * each, device=device) * DRAWN_ONE_IN % columns
            return Drawn("int32", columns_E.int())
        if suffix == "vals":
            return Drawn("float32", torch.rand(rows * each, generator=generator, device=device))
        return super().draw(suffix, rows, columns, generator)

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> LookupWeight:
        packed_NB = stored["qweight"].T.contiguous().view(torch.uint8)
        table_NL = stored["lookup_table"].float().contiguous()
        columns = packed_NB.shape[1] * 8 // self._bits
        return LookupWeight(
            self._bits, packed_NB, table_NL, self._outliers(name, stored, len(table_NL), columns)
        )

    def _outliers(
        self, name: str, stored: Mapping[str, Tensor], rows: int, columns: int
    ) -> Outliers:
        """Those of the full rows come last."""
        none = stored["qweight"].new_zeros(0)
        found = Outliers.of(none.long(), none, none.float(), rows)
        if self._sparse:
            found = Outliers(stored["rows"], stored["cols"], stored["vals"].float())
            _check(name, found, columns)
        if not self._full_rows:
            return found
        which_X = stored["full_row_indices"].long()
        if not bool(((which_X >= 0) & (which_X < rows)).all()):
            raise CheckpointError(f"{name}.full_row_indices has rows that are not there")
        inputs_K = torch.arange(columns, dtype=torch.int32, device=which_X.device)
        return Outliers.of(
            torch.cat((found.row_of_each(), which_X.repeat_interleave(columns))),
            torch.cat((found.columns_E, inputs_K.repeat(len(which_X)))),
            torch.cat((found.values_E, stored["full_rows"].float().T.flatten())),
            rows,
        )


def _check(name: str, outliers: Outliers, columns: int) -> None:
    """Raises CheckpointError for outliers that are nowhere."""
    starts_N1, columns_E = outliers.starts_N1, outliers.columns_E
    ends = int(starts_N1[0]), int(starts_N1[-1])
    if ends != (0, len(columns_E)) or bool((starts_N1.diff() < 0).any()):
        raise CheckpointError(f"{name}.rows does not cut its {len(columns_E)} outliers into rows")
    if len(columns_E) != len(outliers.values_E):
        raise CheckpointError(f"{name}: {len(columns_E)} cols and {len(outliers.values_E)} vals")
    if not bool(((columns_E >= 0) & (columns_E < columns)).all()):
        raise CheckpointError(f"{name}.cols has inputs that are not there, expected 0 to {columns}")
