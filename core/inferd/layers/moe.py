"""A mixture of experts in place of an MLP.

Shape suffixes: T tokens, D hidden, M experts, C of them chosen for a token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Experts
from inferd.contracts.quantization import ExpertsMethod, ExpertsSpec
from inferd.errors import CheckpointError
from inferd.layers.activation import gated_name
from inferd.layers.fields import Fields
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.shape import DecoderShape


@dataclass(frozen=True, slots=True, kw_only=True)
class MoEShape(DecoderShape):
    num_experts: int = 1
    num_chosen: int = 1  # experts of a token
    expert_size: int = 1  # inner size of an expert
    renormalized: bool = False  # weights of the chosen experts sum to one
    router_bias: bool = False
    expert_bias: bool = False

    def with_experts(self, fields: Fields) -> Self:
        """Raises UnsupportedModel for more experts for a token than there are."""
        experts, chosen = fields.count("num_experts"), fields.count("num_experts_per_tok")
        if chosen > experts:
            raise fields.unusable("num_experts_per_tok", chosen, f"at most num_experts, {experts}")
        return replace(self, num_experts=experts, num_chosen=chosen)


class ExpertBank(nn.Module):
    """The experts of a layer: modules that take their weights, and one op that computes them."""

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
        )
        self._method: ExpertsMethod | None = build.quantization.create_experts(self.spec, build.ops)
        self._op: Experts
        self._loading = self._add_modules()

    def _add_modules(self) -> int:
        """Returns how many wait for weights."""
        raise NotImplementedError

    @property
    def method(self) -> ExpertsMethod:
        assert self._method is not None, "weights were finished before"
        return self._method

    def loaded_one(self) -> None:
        """After the last one, all are repacked and the method is released."""
        self._loading -= 1
        if not self._loading:
            self._op = self.method.finish()
            self._method = None

    def forward(self, x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
        return self._op(x_TD, chosen_TC, weights_TC)


class ExpertList(ExpertBank):
    """By number, as most checkpoints have them."""

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


class MoE(Layer):
    """Softmax over all experts, the likeliest few for each token."""

    bank: ClassVar[type[ExpertBank]] = ExpertList

    def __init__(self, shape: MoEShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.mlp"
        self.gate = LinearLayer(
            f"{name}.gate",
            shape.hidden_size,
            [shape.num_experts],
            build,
            bias=shape.router_bias,
        )
        self.experts = self.bank(name, shape, build)
        self._num_chosen, self._renormalized = shape.num_chosen, shape.renormalized

    def forward(self, x_TD: Tensor) -> Tensor:
        shares_TM = torch.softmax(self.gate(x_TD), dim=-1, dtype=torch.float32)
        weights_TC, chosen_TC = shares_TM.topk(self._num_chosen, dim=-1)
        if self._renormalized:
            weights_TC = weights_TC / weights_TC.sum(-1, keepdim=True)
        out_TD: Tensor = self.experts(x_TD, chosen_TC, weights_TC)
        return out_TD


class StackedMoE(MoE):
    """From checkpoints that have all experts in one tensor."""

    bank = ExpertStack


class Expert(nn.Module):
    def __init__(self, experts: ExpertBank, place: int) -> None:
        super().__init__()
        self.gate_up_proj = ExpertWeights(experts, place, (0, 1))
        self.down_proj = ExpertWeights(experts, place, (2,))


class ExpertWeights(nn.Module):
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

    def missing(self) -> list[str]:
        return [f"{suffix} of part {part}" for suffix, part in sorted(self._missing)]

    def finish(self) -> None:
        self._experts[0].loaded_one()


class StackedWeights(nn.Module):
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

    def missing(self) -> list[str]:
        return sorted(self._missing)

    def finish(self) -> None:
        self._experts[0].loaded_one()
