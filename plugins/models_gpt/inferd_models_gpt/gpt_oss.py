"""gpt-oss: windows in every other layer, sinks, biases, and experts with a clamped activation.

Shape suffixes: H query heads; M experts, D hidden, I inner size of an expert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.quantization import Drawn
from inferd.errors import CheckpointError
from inferd.layers import (
    LAYER_TYPES,
    Decoder,
    DecoderLM,
    DecoderShape,
    ExpertBank,
    ExpertList,
    Fields,
    MoE,
    MoEShape,
    Parts,
    Rotary,
    SelfAttention,
    check_suffix,
    unpack_checked,
)

YARN = {  # where the configuration says nothing
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


class SinkAttention(SelfAttention):
    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        self._sinks_H = torch.empty(shape.num_heads, device=build.device)
        self._loaded = False

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor, ("sinks",))
        self._sinks_H.copy_(unpack_checked(tensor, tuple(self._sinks_H.shape), torch.float32))
        self._loaded = True

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {("sinks", 0): tuple(self._sinks_H.shape)}

    def missing(self) -> list[str]:
        return [] if self._loaded else ["sinks"]

    def finish(self) -> None:
        self.attn.set_sinks(self._sinks_H)


class TransposedExperts(ExpertBank):
    """All in one tensor for gate and up, row by row, and one for down.

    In floats they are [M, D, 2 I] and [M, I, D]; what a quantization stores has rows first.
    """

    def _add_modules(self) -> int:
        self._missing = {suffix for suffix, _ in self.expected()}
        return 1

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {(suffix, 0): self._shape(*place) for suffix, place in self._places().items()}

    def _places(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """By suffix: what the method calls it, and the parts of an expert that it holds."""
        both = {"gate_up_proj": (0, 1), "down_proj": (2,)}
        return {
            name if kind == "weight" else f"{name}_{kind}": (kind, parts)
            for name, parts in both.items()
            for kind in self.method.expected(parts[0])
        }

    def _shape(self, kind: str, parts: tuple[int, ...]) -> tuple[int, ...]:
        rows, *rest = self.method.expected(parts[0])[kind]
        whole = (rows * len(parts), *rest)
        return (self.spec.num_experts, *(reversed(whole) if kind == "weight" else whole))

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        places = self._places()
        check_suffix(suffix, tensor, tuple(places))
        kind, parts = places[suffix]
        shape, floats = self._shape(kind, parts), kind in ("weight", "bias")
        if not floats and tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{tensor.name}: expected {list(shape)}, found {list(tensor.shape)}"
            )
        value = unpack_checked(tensor, shape, self.spec.dtype) if floats else tensor.data
        for expert, rows in enumerate(value.transpose(1, 2) if kind == "weight" else value):
            for place, of in enumerate(parts):
                piece = rows[place :: len(parts)]
                raw = RawTensor(tensor.name, tuple(piece.shape), tensor.storage, piece)
                self.method.load(kind, expert, of, raw)
        self._missing.discard(suffix)

    def missing(self) -> list[str]:
        return sorted(self._missing)

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:  # noqa: ARG002
        kind, parts = self._places()[suffix]
        return self.draw_all(kind, parts, generator)

    def finish(self) -> None:
        self.num_bytes = self.loaded_one()


class GptOssMoE(MoE):
    def make_bank(self, name: str, shape: MoEShape, build: BuildContext) -> ExpertBank:
        """GGUF files have gate, up and down apart."""
        bank = ExpertList if build.config.hf.get("experts_apart") else TransposedExperts
        return bank(name, shape, build)


class GptOssDecoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        hf = build.config.hf
        if not (hf.get("rope_scaling") or hf.get("rope_parameters")):
            hf = {**hf, "rope_parameters": YARN}
        return [Rotary(shape.head_dim, build, hf=hf, theta=shape.theta)] * shape.num_layers


class GptOssForCausalLM(DecoderLM):
    names = {"mlp.router": "mlp.gate"}
    parts = Parts(attention=SinkAttention, mlp=GptOssMoE)
    decoder = GptOssDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            {"num_experts": "num_local_experts", "hidden_act": None},
            rms_norm_eps=1e-5,
            num_key_value_heads=8,
            head_dim=64,
            num_experts=128,
            num_experts_per_tok=4,
            sliding_window=128,
            hidden_act="clamped_swiglu",
        )
        for name, only in (("swiglu_alpha", 1.702), ("swiglu_limit", 7.0)):
            if (value := fields.number(name, only)) != only:
                raise fields.unusable(name, value, f"{only}")
        shape, bias = (
            MoEShape.read(fields).with_experts(fields),
            fields.flag("attention_bias", True),
        )
        kinds = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
        if kinds is None:
            kinds = [LAYER_TYPES[layer % 2 == 0] for layer in range(shape.num_layers)]
        shape = replace(
            shape,
            expert_size=shape.intermediate_size,
            renormalized=True,
            router_bias=True,
            expert_bias=True,
            sinks=True,
            qkv_bias=bias,
            o_bias=bias,
        )
        return shape.with_window(fields, [kind == "sliding_attention" for kind in kinds])
