"""ExpertBank: the experts of a layer, wherever the checkpoint has their weights.

Shape suffixes: T tokens, D hidden, M experts, C of them chosen for a token.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Experts
from inferd.contracts.quantization import Drawn, ExpertsMethod, ExpertsSpec
from inferd.errors import CheckpointError
from inferd.layers.activation import gated_name
from inferd.layers.layer import Layer
from inferd.layers.moe_shape import MoEShape


class ExpertBank(Layer):
    """The experts of a layer: modules that take their weights, and one op that computes them."""

    dequantized = False
    """As ExpertsMethod has it."""

    def __init__(self, name: str, shape: MoEShape, build: BuildContext) -> None:
        super().__init__()
        self.spec = ExpertsSpec(
            name=f"{name}.experts",
            num_experts=shape.num_experts,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.expert_size,
            activation=gated_name(shape.hidden_act),
            bias=shape.expert_bias,
            dtype=build.config.dtype,
            device=build.device,
            stored_names=self._stored_names(name, shape.num_experts, build),
        )
        self._method: ExpertsMethod | None = build.quantization.create_experts(self.spec, build.ops)
        self._op: Experts
        self._loading = self._add_modules()

    def _stored_names(
        self, name: str, num_experts: int, build: BuildContext
    ) -> tuple[tuple[str, ...], ...]:
        """Of the parts of each expert; here as of checkpoints that have all in one tensor."""
        stored = build.stored_names(f"{name}.experts")
        return (stored * 3,) * num_experts

    def _add_modules(self) -> int:
        """Returns how many wait for weights."""
        raise NotImplementedError

    @property
    def method(self) -> ExpertsMethod:
        assert self._method is not None, "weights were finished before"
        return self._method

    def loaded_one(self) -> int:
        """After the last one, all are repacked and the method is released. Returns their bytes."""
        self._loading -= 1
        if self._loading:
            return 0
        method = self.method
        self._op, self._method = method.finish(), None
        self.dequantized = method.dequantized
        return method.num_bytes

    def draw_all(
        self, suffix: str, parts: tuple[int, ...], generator: torch.Generator
    ) -> Drawn | None:
        """As Layer.draw has it, of all experts [M, ...], the rows of some parts in each."""
        drawn = [
            [self.method.draw(suffix, part, generator) for part in parts]
            for _ in range(self.spec.num_experts)
        ]
        found = [[each for each in of_one if each is not None] for of_one in drawn]
        if not found[0]:
            return None
        stacked = torch.stack([torch.cat([each.data for each in of_one]) for of_one in found])
        return Drawn(found[0][0].storage, stacked)

    def forward(self, x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
        return self._op(x_TD, chosen_TC, weights_TC)


class ExpertList(ExpertBank):
    """By number, as most checkpoints have them."""

    def _stored_names(
        self, name: str, num_experts: int, build: BuildContext
    ) -> tuple[tuple[str, ...], ...]:
        modules = ("gate_up_proj", "down_proj")
        return tuple(
            tuple(
                stored
                for module in modules
                for stored in build.stored_names(f"{name}.experts.{expert}.{module}")
            )
            for expert in range(num_experts)
        )

    def _add_modules(self) -> int:
        for expert in range(self.spec.num_experts):
            self.add_module(str(expert), Expert(self, expert))
        return 2 * self.spec.num_experts


class ExpertStack(ExpertBank):
    """All in one tensor for gate and up [M, 2 I, D], and one for down [M, D, I]."""

    def _add_modules(self) -> int:
        self.gate_up_proj = StackedWeights(self, (0, 1))
        self.down_proj = StackedWeights(self, (2,))
        return 2


class Expert(nn.Module):
    def __init__(self, experts: ExpertBank, place: int) -> None:
        super().__init__()
        self.gate_up_proj = ExpertWeights(experts, place, (0, 1))
        self.down_proj = ExpertWeights(experts, place, (2,))


class ExpertWeights(Layer):
    """Where the loader finds some parts of one expert; they go to the method of all."""

    def __init__(self, experts: ExpertBank, place: int, parts: tuple[int, ...]) -> None:
        super().__init__()
        self._experts = [experts]  # in a list: not a submodule of its own part
        self._place, self._parts = place, parts
        self._missing = set(self.expected())

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:
        self._experts[0].method.load(suffix, self._place, self._parts[part], tensor)
        self._missing.discard((suffix, part))

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        method = self._experts[0].method
        return {
            (suffix, place): shape
            for place, part in enumerate(self._parts)
            for suffix, shape in method.expected(part).items()
        }

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:
        return self._experts[0].method.draw(suffix, self._parts[part], generator)

    def missing(self) -> list[str]:
        return [f"{suffix} of part {part}" for suffix, part in sorted(self._missing)]

    def finish(self) -> None:
        self.num_bytes = self._experts[0].loaded_one()


class StackedWeights(Layer):
    """Where the loader finds some parts of all experts, along the first two dimensions."""

    def __init__(self, experts: ExpertBank, parts: tuple[int, ...]) -> None:
        super().__init__()
        self._experts = [experts]  # in a list: not a submodule of its own part
        self._num, self._parts = experts.spec.num_experts, parts
        self._missing = {suffix for suffix, _ in self.expected()}

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        shape = self.expected().get((suffix, 0))
        if shape is None or tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{tensor.name}: expected a weight of shape {list(shape or ())}, found "
                f"{suffix!r} of {list(tensor.shape)}"
            )
        method = self._experts[0].method
        rows = [method.expected(part)[suffix][0] for part in self._parts]
        for expert, rows_NK in enumerate(tensor.data.view(self._num, sum(rows), -1)):
            for part_of, piece_NK in zip(self._parts, rows_NK.split_with_sizes(rows), strict=True):
                piece = replace(tensor, shape=(len(piece_NK), *shape[2:]), data=piece_NK)
                method.load(suffix, expert, part_of, piece)
        self._missing.discard(suffix)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        method = self._experts[0].method
        shapes = [method.expected(part) for part in self._parts]
        return {
            (suffix, 0): (self._num, sum(s[suffix][0] for s in shapes), *shapes[0][suffix][1:])
            for suffix in shapes[0]
        }

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:  # noqa: ARG002
        return self._experts[0].draw_all(suffix, self._parts, generator)

    def missing(self) -> list[str]:
        return sorted(self._missing)

    def finish(self) -> None:
        self.num_bytes = self._experts[0].loaded_one()
