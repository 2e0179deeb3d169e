"""CausalLM: a model family. Registered under the Hugging Face architecture name, or under ANY.

Shape suffixes: T tokens, N positions that need logits, D hidden, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from inferd.contracts.attention import AttentionBackend, AttentionRequest, KVSpec
from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Ops
from inferd.contracts.quantization import QuantizationMethod
from inferd.contracts.verdict import YES, Verdict
from inferd.contracts.weights import TakesWeights
from inferd.errors import UnsupportedModel
from inferd.types import Batch

ANY = "*"  # the name of a class that is asked where no plugin has the architecture's own
KVCache = tuple[Tensor, Tensor]  # k, v of one layer: views [blocks, slots, kv heads, head size]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A checkpoint's configuration, resolved."""

    architecture: str
    hf: Mapping[str, Any]  # config.json (for multimodal checkpoints: its text_config)
    dtype: torch.dtype
    max_model_len: int
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Parallel:
    """Tensor parallelism of a layer; the only size in this version is 1."""

    size: int = 1
    rank: int = 0


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Everything a model is built from. Passed down to layers, kept nowhere globally."""

    config: ModelConfig
    device: torch.device
    ops: Ops
    attention: AttentionBackend
    quantization: QuantizationMethod
    tp: Parallel = field(default_factory=Parallel)
    stored_names: Callable[[str], tuple[str, ...]] = lambda module: (module,)
    """The checkpoint's names for the parts of a module, which is named as in the model."""
    narrow_kv: torch.dtype | None = None
    """Of keys and values in the cache, where that is not the model's."""

    @property
    def kv_dtype(self) -> torch.dtype:
        """Of keys and values in the cache."""
        return self.narrow_kv or self.config.dtype


class CausalLM(nn.Module, ABC):
    """Weights and forward pass of one family. Built on the target device, loaded afterwards."""

    packed: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Fused module -> checkpoint modules in order, e.g. qkv_proj -> (q_proj, k_proj, v_proj)."""

    names: ClassVar[Mapping[str, str]] = {}
    """Checkpoint's name -> module's, for one or more whole components of a tensor's name, e.g.
    "transformer.h" -> "model.layers". Of several that fit at one place the longest counts."""

    ignored: ClassVar[tuple[str, ...]] = ("rotary_emb.inv_freq",)
    """Endings of checkpoint names that carry nothing to load."""

    recordable: bool = True
    """Whether forward and compute_logits may be recorded: they never wait for the device."""

    note: ClassVar[str] = ""
    """What the banner says of this implementation, where there is something to say."""

    def __init__(self, build: BuildContext) -> None:  # noqa: ARG002 - subclasses build from it
        super().__init__()

    def ignores(self, name: str) -> bool:
        """Whether a tensor of the checkpoint that no module takes is left out; else it is an
        error."""
        return name.endswith(self.ignored)

    @classmethod
    def supports(cls, config: ModelConfig) -> Verdict:  # noqa: ARG003
        """Asked of a class registered under ANY, before all else."""
        return YES

    @classmethod
    def attention_request(
        cls, config: ModelConfig, platform: str, block_size: int
    ) -> AttentionRequest:
        """What its attention layers ask of a backend; by default as Llama's config.json says it.

        Raises UnsupportedModel for numbers that are missing.
        """
        hf = config.hf
        for key in ("hidden_size", "num_attention_heads"):
            if type(hf.get(key)) is not int or hf[key] < 1:
                raise UnsupportedModel(f"config.json: {key} is {hf.get(key)!r}, expected a number")
        heads = hf["num_attention_heads"]
        return AttentionRequest(
            platform=platform,
            num_heads=heads,
            num_kv_heads=int(hf.get("num_key_value_heads") or heads),
            head_dim=int(hf.get("head_dim") or hf["hidden_size"] // heads),
            dtype=config.dtype,
            block_size=block_size,
            window=hf.get("sliding_window") if hf.get("use_sliding_window", True) else None,
            soft_cap=hf.get("attn_logit_softcapping"),
        )

    def targets(self) -> Mapping[str, TakesWeights]:
        """What takes weights, by the name that `names` and `packed` lead to."""
        return {name: m for name, m in self.named_modules() if isinstance(m, TakesWeights)}

    def stored(self, tensors: Iterator[RawTensor]) -> Iterator[RawTensor]:
        """The checkpoint's tensors as `targets` take them, where `names` alone do not say it."""
        return tensors

    def stored_as(self, names: Collection[str]) -> Collection[str]:
        """The names that `stored` gives to what it makes of tensors with these."""
        return names

    @abstractmethod
    def kv_specs(self) -> list[KVSpec]:
        """What each attention layer keeps, in layer order."""

    @abstractmethod
    def set_groups(self, groups: Sequence[int]) -> None:
        """Tell each attention layer, in layer order, which KV group it belongs to."""

    @abstractmethod
    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        """Hidden states [T, D] after the final norm; writes this step's KV into `caches`."""

    @abstractmethod
    def compute_logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V], in float32 or as the output head makes them."""
