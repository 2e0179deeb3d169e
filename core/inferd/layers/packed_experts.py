"""The weights of a mixture of experts as a checkpoint packs them, from loading to the callable.

Shape suffixes: K in features, N out features; M experts, D hidden, I inner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Experts, MakePackedExperts, Ops
from inferd.contracts.quantization import Drawn, ExpertsMethod, ExpertsSpec
from inferd.contracts.weight_formats import DENSE, Weight
from inferd.errors import UnsupportedModel
from inferd.layers.experts import DOWN, DenseExperts
from inferd.layers.matrix_format import MatrixFormat, Stored, check_stored
from inferd.layers.planned import ROWS, kept_bytes, sample

PARTS = range(3)


class PackedExperts(ExpertsMethod):
    """`matrix` says by its name how each is stored.

    Where an op has the formats of all they stay packed, else they are dequantized: as they come,
    or at the end where gate and up of an expert, or experts, are not alike.
    """

    def __init__(self, spec: ExpertsSpec, ops: Ops, matrix: Callable[[str], MatrixFormat]) -> None:
        """Raises UnsupportedModel for experts of one layer that are stored differently."""
        self._spec, self._ops = spec, ops
        self._dense = DenseExperts(spec, ops)
        self._forms = {
            (expert, part): matrix(spec.stored_name(expert, part))
            for expert in range(spec.num_experts)
            for part in PARTS
        }
        self._takes = [self._stored(0, part) for part in PARTS]
        for expert, part in self._forms:
            if self._stored(expert, part) != self._takes[part]:
                raise UnsupportedModel(
                    f"{spec.stored_name(expert, part)} is stored otherwise than the experts beside "
                    "it, which must all be alike"
                )
        self._loaded: dict[tuple[int, int], dict[str, Tensor]] = {key: {} for key in self._forms}
        self._weights: dict[tuple[int, int], Weight] = {}  # packed, by expert and part

    def _stored(self, expert: int, part: int) -> dict[str, Stored]:
        name, (rows, columns) = self._spec.stored_name(expert, part), self._spec.shape(part)
        bias = {"bias": Stored((rows,))} if self._spec.bias else {}
        return self._forms[expert, part].tensors(name, rows, columns) | bias

    def expected(self, part: int) -> dict[str, tuple[int, ...]]:
        return {suffix: stored.shape for suffix, stored in self._takes[part].items()}

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:
        if suffix == "bias":
            return None
        return self._forms[0, part].draw(suffix, *self._spec.shape(part), generator)

    def kept_bytes(self) -> int:
        """All are dense where one is, or gate and up of an expert are not alike."""
        forms = [self._forms[0, part] for part in PARTS]
        shapes = [self._spec.shape(part) for part in PARTS]
        gate: Any
        gate, up, down = (sample(f, ROWS, s[1]) for f, s in zip(forms, shapes, strict=True))
        whole = not any(isinstance(weight, Tensor) for weight in (gate, down)) and gate.joins(up)
        packed = self._ops.packed_experts if whole else {}
        biases = sum(rows for rows, _ in shapes) * self._spec.dtype.itemsize * self._spec.bias
        matrices = sum(
            kept_bytes(form, shape, packed, self._spec.dtype)
            for form, shape in zip(forms, shapes, strict=True)
        )
        return self._spec.num_experts * (matrices + biases)

    def load(self, suffix: str, expert: int, part: int, tensor: RawTensor) -> None:
        check_stored(self._takes[part], suffix, tensor)
        if suffix == "bias":
            self._dense.load(suffix, expert, part, tensor)
            return
        form, loaded = self._forms[expert, part], self._loaded[expert, part]
        loaded[suffix] = form.take(suffix, tensor).to(self._spec.device)
        if loaded.keys() == self._takes[part].keys() - {"bias"}:
            name = self._spec.stored_name(expert, part)
            weight = form.weight(name, self._loaded.pop((expert, part)))
            if isinstance(weight, Tensor):
                self._dense.place("weight", expert, part).copy_(weight)
            elif weight.format in self._ops.packed_experts:
                self._weights[expert, part] = weight
            else:
                self._unpack(weight, expert, part)

    def _unpack(self, weight: Weight, expert: int, part: int) -> None:
        self.dequantized = True
        self._dense.place("weight", expert, part).copy_(weight.dequantize(self._spec.dtype))

    def finish(self) -> Experts:
        make = self._maker()
        if make is not None:
            return self._packed(make, *self._joined())
        for (expert, part), weight in self._weights.items():
            self._unpack(weight, expert, part)
        made = self._dense.finish()
        self.num_bytes = self._dense.num_bytes
        return made

    def _packed(
        self, make: MakePackedExperts, gate_up: list[Weight], down: list[Weight]
    ) -> Experts:
        activation, biases = self._spec.activation, self._dense.biases()
        made = make(gate_up, down, activation, self._ops.act_and_mul[activation], *biases)
        self.num_bytes = sum(each.nbytes for each in biases)
        if made is not None:
            self.num_bytes += sum(weight.num_bytes for weight in (*gate_up, *down))
            return made
        self.dequantized = True
        gate_up_MND, down_MDI = (dequantized(each, self._spec.dtype) for each in (gate_up, down))
        self.num_bytes += gate_up_MND.nbytes + down_MDI.nbytes
        return self._ops.experts[DENSE](gate_up_MND, down_MDI, activation, *biases)

    def _maker(self) -> MakePackedExperts | None:
        """Of what takes gate and up of all experts as one weight each, and down; None: nothing."""
        if self._weights.keys() != self._forms.keys():
            return None
        for expert in range(self._spec.num_experts):
            gate: Any  # what joins is of one class
            gate, up = (self._weights[expert, part] for part in (0, 1))
            if not gate.joins(up):
                return None
        formats = [
            {self._weights[expert, part].format for expert in range(self._spec.num_experts)}
            for part in (0, DOWN)
        ]
        makers = [self._ops.packed_experts[name] for name in formats[0] | formats[1]]
        alike = all(len(names) == 1 for names in formats) and makers[0] is makers[-1]
        return makers[0] if alike else None

    def _joined(self) -> tuple[list[Weight], list[Weight]]:
        """Gate and up as one, and down, of each expert; the parts are let go."""
        gate_up, down = [], []
        for expert in range(self._spec.num_experts):
            gate: Any
            gate, up, last = (self._weights.pop((expert, part)) for part in PARTS)
            gate_up.append(gate.joined([up]))
            down.append(last)
        return gate_up, down


def dequantized(weights: list[Weight], dtype: torch.dtype) -> Tensor:
    """[M, N, K], one after the other; they are let go."""
    weights.reverse()
    first_NK = weights[-1].dequantize(dtype)
    dense_MNK = first_NK.new_empty(len(weights), *first_NK.shape)
    for weight_NK in dense_MNK:
        weight_NK.copy_(weights.pop().dequantize(dtype))
    return dense_MNK
