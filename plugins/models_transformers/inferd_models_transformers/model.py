"""TransformersForCausalLM: a model of transformers with our attention, linears, experts and head.

Shape suffixes: T tokens, N positions that need logits, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from inferd.contracts.attention import AttentionRequest, KVSpec
from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext, CausalLM, KVCache, ModelConfig
from inferd.contracts.verdict import Verdict, no
from inferd.contracts.weights import TakesWeights
from inferd.errors import UnsupportedModel
from inferd.layers import NoRotary
from inferd.types import Batch

from .attention import PagedAttention, Step
from .build import Built, build_model
from .facts import facts_of
from .head import Given
from .interface import PAGED

# SmolLM2 in bfloat16 with --plugins no:llama: 877 tokens per second, by its own plugin 1,022
# (bench/fallback.py, best of two rounds, two cores of an EPYC, 2026-11-27); an 8B's shape on an
# H100 0.87 (--w1 llama8b, the same day)
NOTE = (
    "runs through transformers: no plugin has this architecture by name; "
    "SmolLM2 on a CPU has 0.86 of its own plugin's speed so, an 8B on an H100 0.87"
)


class TransformersForCausalLM(CausalLM):
    """Raises UnsupportedModel for what transformers' attention interface does not carry."""

    note: ClassVar[str] = NOTE

    def __init__(self, build: BuildContext) -> None:
        super().__init__(build)
        facts = facts_of(build.config)
        built: Built = build_model(facts, build)
        self.model, self.base = built.model, built.base
        self.recordable = built.recordable
        self._targets, self._conversion = built.targets, built.conversion
        self._step = Step()
        self._layers = []
        for layer, each in enumerate(facts.attention):
            paged = PagedAttention(each, layer, self._step, build)
            setattr(self.model.get_submodule(each.name), PAGED, paged)
            self._layers.append(paged.attention)
        sizes = {each.head_dim for each in facts.attention}
        self._rotaries = {size: NoRotary(size, build) for size in sizes}
        setattr(self.model, self.model.base_model_prefix, Given())

    @classmethod
    def supports(cls, config: ModelConfig) -> Verdict:
        try:
            facts_of(config)
        except UnsupportedModel as error:
            return no(str(error))
        return Verdict(True, NOTE)

    @classmethod
    def attention_request(
        cls, config: ModelConfig, platform: str, block_size: int
    ) -> AttentionRequest:
        """Of the layer with the largest heads, and with what any layer needs."""
        layers = facts_of(config).attention
        largest = max(layers, key=lambda layer: layer.head_dim)
        return AttentionRequest(
            platform=platform,
            num_heads=largest.num_heads,
            num_kv_heads=largest.num_kv_heads,
            head_dim=largest.head_dim,
            dtype=config.dtype,
            block_size=block_size,
            window=next((layer.window for layer in layers if layer.window), None),
            soft_cap=next((layer.soft_cap for layer in layers if layer.soft_cap), None),
        )

    def targets(self) -> Mapping[str, TakesWeights]:
        return self._targets

    def stored(self, tensors: Iterator[RawTensor]) -> Iterator[RawTensor]:
        return self._conversion(tensors)

    def stored_as(self, names: Collection[str]) -> Collection[str]:
        return self._conversion.names(names)

    def kv_specs(self) -> list[KVSpec]:
        return [layer.spec for layer in self._layers]

    def set_groups(self, groups: Sequence[int]) -> None:
        for layer, group in zip(self._layers, groups, strict=True):
            layer.set_group(group)

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        step = self._step
        step.batch, step.caches = batch, caches
        step.ropes = {size: turn(batch.positions_T) for size, turn in self._rotaries.items()}
        out = self.base(
            input_ids=batch.ids_T[None], position_ids=batch.positions_T[None], use_cache=False
        )
        hidden_TD: Tensor = out[0][0]
        return hidden_TD

    def compute_logits(self, hidden_ND: Tensor) -> Tensor:
        """By transformers' own code, whose base gives back what it is given."""
        logits_NV: Tensor = self.model(inputs_embeds=hidden_ND[None], use_cache=False).logits[0]
        return logits_NV
