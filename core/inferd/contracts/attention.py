"""AttentionBackend: attention over the paged KV cache.

Shape suffixes: T tokens, H query heads, G KV heads, E head size, B blocks, S slots per block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from inferd.contracts.verdict import Verdict, no

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inferd.types import Batch


@dataclass(frozen=True, slots=True)
class KVSpec:
    """What one attention layer keeps per token. Layers with equal specs form a group."""

    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype
    kind: Literal["full", "window", "latent"] = "full"
    window: int | None = None  # tokens a query sees, itself included
    value_dim: int | None = None  # latent: values are so many elements of the keys, the first ones

    @property
    def bytes_per_token(self) -> int:
        """Keys and values; a latent is stored once."""
        copies = 2 if self.value_dim is None else 1
        return copies * self.num_kv_heads * self.head_dim * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class AttentionRequest:
    """What a backend is asked to support, for one model on one platform."""

    platform: str
    num_heads: int
    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype
    block_size: int
    window: int | None = None
    soft_cap: float | None = None
    alibi: bool = False
    value_dim: int | None = None  # as in KVSpec
    sinks: bool = False
    kv_dtype: torch.dtype | None = None  # of the cache, where it is narrower


@dataclass(frozen=True, slots=True)
class AttentionParams:
    """Constants of one attention layer."""

    num_heads: int
    scale: float
    spec: KVSpec
    group: int  # index of its KV group, set when the model is built
    soft_cap: float | None = None
    alibi_slopes_H: Tensor | None = None  # float32: a score gets slope * (key - query) added
    sinks_H: Tensor | None = None  # float32: the score of a key that is always seen, of value zero


class AttentionBackend(ABC):
    """Made once per model. Pure: all state of a step is in the object that `plan` returns."""

    name: ClassVar[str]
    recordable: ClassVar[bool] = False
    """Whether `plan` and `forward` may be recorded in a graph and replayed with other contents.

    They then read lengths on the device alone: a recorded batch has no `query_lens`, and its
    `num_decodes` is a bound: a row below it with one token is a decode, all others are not.
    """

    alibi: ClassVar[bool] = False
    """Whether it heeds `alibi_slopes_H`; those that do not are never asked about such a model."""

    latent: ClassVar[bool] = False
    """Whether it reads latents (KVSpec.value_dim); asked as with `alibi`."""

    sinks: ClassVar[bool] = False
    """Whether it heeds `sinks_H`; asked as with `alibi`."""

    narrow_cache: ClassVar[bool] = False
    """Whether it reads caches of 8 bits (KVSpec.dtype); asked as with `alibi`."""

    strided_blocks: ClassVar[bool] = False
    """Whether a block of a layer is one piece of memory, and the next may begin anywhere after it.

    Layers whose pages differ in shape then share blocks: caches are views with other strides from
    block to block, but otherwise as `allocate` makes them.
    """

    @classmethod
    @abstractmethod
    def supports(cls, request: AttentionRequest) -> Verdict: ...

    def prepare(self, request: AttentionRequest) -> None:  # noqa: B027 - only compilers need it
        """Once, before all that follows, with the request that `supports` said yes to.

        What a backend compiles for the model it compiles here: requests would wait for it later.
        """

    @abstractmethod
    def allocate(
        self, spec: KVSpec, num_blocks: int, block_size: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """K and V cache of one layer, as views [B, S, G, E] over the layout this backend wants.

        Of a latent, V is a view of K's first elements.
        """

    @abstractmethod
    def plan(self, batch: Batch, group: int, spec: KVSpec, block_size: int) -> Any:
        """Once per step and group, before the first layer: whatever `forward` needs."""

    @abstractmethod
    def forward(
        self,
        q_THE: Tensor,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        plan: Any,
        params: AttentionParams,
    ) -> Tensor:
        """Causal attention of this step's queries over the cache, keys of this step included.

        Returns [T, H, E] in the order of the queries; of a latent, [T, H, value_dim].
        """


def supports(kind: type[AttentionBackend], request: AttentionRequest) -> Verdict:
    """The backend's answer, and no for what a backend that does not speak of it cannot have."""
    if request.alibi and not kind.alibi:
        return no("has no ALiBi")
    if request.sinks and not kind.sinks:
        return no("has no sinks")
    if request.value_dim is not None and not kind.latent:
        return no("has no latent keys and values (MLA)")
    if request.kv_dtype is not None and not kind.narrow_cache:
        return no("reads no cache in FP8")
    return kind.supports(request)
