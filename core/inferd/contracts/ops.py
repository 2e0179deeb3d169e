"""Ops: the kernels a model is made of, chosen once at load.

Shape suffixes: T tokens, D hidden, H query heads, G KV heads, E head size, I intermediate,
N out features, K in features (of a latent: its size), Z a latent with the rotated part of its
key, F rotated elements, P positions, V vocabulary, B blocks, S slots per block, R rows of a step, L
tokens of history, X rows of the request table; of a mixture of experts, M experts and C of them
chosen for a token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from inferd.contracts.platform import Record
from inferd.contracts.sampling_ops import Argmax, Draw, DrawFiltered, Mask, TopLogprobs
from inferd.contracts.verdict import Verdict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Linear = Callable[["Tensor"], "Tensor"]  # x_TK -> out_TN
"""It may have `fused`: by name (rms_norm, add_rms_norm, a key of act_and_mul) that op with another
result, which this linear alone takes in place of a tensor: x rounded to FP8, say."""


class RmsNorm(Protocol):
    def __call__(self, x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor: ...


class AddRmsNorm(Protocol):
    """Returns (norm(x + residual), x + residual); may overwrite both arguments."""

    def __call__(
        self, x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]: ...


class ActAndMul(Protocol):
    """act(gate) * up, the two halves of the last dimension."""

    def __call__(self, x_T2I: Tensor) -> Tensor: ...


class Embedding(Protocol):
    def __call__(self, ids_T: Tensor, weight_VD: Tensor) -> Tensor: ...


class PrepareRope(Protocol):
    """Once per step: whatever rope_kv_write wants of the positions.

    `cos_sin_PE` holds cos in the first half of the last dimension, sin in the second, in float32.
    """

    def __call__(self, positions_T: Tensor, cos_sin_PE: Tensor, dtype: torch.dtype) -> Any: ...


class RopeKvWrite(Protocol):
    """Rotate q and k by position (halves layout), store k and v at their slots, return q [T, H, E].

    `qkv_TXE` is the fused projection, X = H + 2 G heads in the order q, k, v. The caches are views
    [B, S, G, E] of any strides; slot = block * S + offset. With norm weights, q and k are
    RMS-normalised per head before the rotation (QK-norm). May overwrite `qkv_TXE`.

    A cache in FP8 gets k / k_scale and v / v_scale, limited to its largest number. The scales are
    given for such caches alone, and need no notice otherwise.
    """

    def __call__(
        self,
        qkv_TXE: Tensor,
        num_heads: int,
        rope: Any,
        k_cache_BSGE: Tensor,
        v_cache_BSGE: Tensor,
        slots_T: Tensor,
        q_norm_E: Tensor | None,
        k_norm_E: Tensor | None,
        eps: float,
        k_scale: float = 1.0,
        v_scale: float = 1.0,
    ) -> Tensor: ...


class LatentKvWrite(Protocol):
    """MLA: normalise the latent (RMS), rotate q and k (halves layout), store latent and k.

    `latent_TZ` is a token's latent [K], then its key's rotated part [F]; together they are what
    `cache_BS1Z` has in a slot. `q_THF` are the rotated parts of the queries [T, H, F] and are
    returned rotated. `cos_sin_TF` has cos of the step's tokens in its first half, then sin, in
    float32. May overwrite `q_THF` and `latent_TZ`.
    """

    def __call__(
        self,
        q_THF: Tensor,
        latent_TZ: Tensor,
        cos_sin_TF: Tensor,
        cache_BS1Z: Tensor,
        slots_T: Tensor,
        norm_K: Tensor,
        eps: float,
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What the layers read of a step, made on the device."""

    ids_T: Tensor  # int64
    positions_T: Tensor  # int64
    query_starts_R1: Tensor  # int32
    contexts_R: Tensor  # int32, tokens in the cache after the step
    slots_T: list[Tensor]  # per group, int64: block * block_size + offset
    block_tables_RB: list[Tensor]  # per group, int32; entries past a row's context are not read


class PrepareInputs(Protocol):
    """From the rows of a step to the inputs of its tokens, through the request table.

    `step_3X` is int64 [3, R + 1]: rows of the table, position of each row's first token, and query
    starts; the first two have nothing in their last column. With as many tokens as rows, each row
    has one; else a row may have none. A row's ids come from its history, so they may be tokens that
    an earlier step samples. `width` is the number of blocks that the widest row needs, or more.
    """

    def __call__(
        self,
        step_3X: Tensor,
        history_XL: Tensor,
        tables_XB: Sequence[Tensor],
        block_size: int,
        num_tokens: int,
        width: int,
    ) -> StepInputs: ...


class MakeLinear(Protocol):
    """Pack a weight once and return the function that applies it; the weight may be released.

    The weight is what its format says: a tensor [N, K] for `dense`, else a dataclass of
    `inferd.contracts.weight_formats`, of any number of rows, columns and groups.
    """

    def __call__(self, weight: Any, bias_N: Tensor | None, /) -> Linear: ...


class Experts(Protocol):
    """Each token's chosen experts, by their weights: sum of weight * down(act(gate x) * up x)."""

    def __call__(self, x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor: ...


class MakeExperts(Protocol):
    """Pack all experts of a layer once; their weights may be released.

    `activation` is a key of `Ops.act_and_mul`. A token's chosen experts are all different. Biases
    are there for both matrices or for none.
    """

    def __call__(
        self,
        gate_up_MND: Tensor,
        down_MDI: Tensor,
        activation: str,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts: ...


@dataclass(frozen=True, slots=True)
class OpRequest:
    """What a provider is asked to support."""

    platform: str
    architecture: str
    dtype: torch.dtype
    kv_dtype: torch.dtype | None = None  # of the KV cache, where it is narrower


@dataclass(frozen=True, slots=True)
class Ops:
    """The chosen set; layers keep the callables they need."""

    rms_norm: RmsNorm
    add_rms_norm: AddRmsNorm
    act_and_mul: Mapping[str, ActAndMul]  # by activation: silu, gelu, gelu_tanh, clamped_swiglu
    embedding: Embedding
    prepare_rope: PrepareRope
    rope_kv_write: RopeKvWrite
    latent_kv_write: LatentKvWrite
    prepare_inputs: PrepareInputs
    linear: Mapping[str, MakeLinear]  # by weight format: dense, w4_g, ...
    experts: Mapping[str, MakeExperts]  # by weight format, as linear
    mask: Mask
    argmax: Argmax
    draw: Draw
    draw_filtered: DrawFiltered
    top_logprobs: TopLogprobs


class OpProvider(ABC):
    """Registered under `ops`; offers any subset of the fields of Ops (mappings are merged)."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def supports(cls, request: OpRequest) -> Verdict: ...

    @abstractmethod
    def ops(self, request: OpRequest) -> Mapping[str, object]:
        """Field name of Ops -> callable, or mapping of callables."""

    @property
    def record(self) -> Record | None:
        """Record what runs, on platforms that cannot; it raises CannotRecord.

        All that is recorded shares one memory, also with what other ops and attention leave.
        """
        return None

    def rehearsal(self) -> AbstractContextManager[None]:
        """Within it a launch may compile what it needs and run nothing.

        What comes out of an op is then memory with anything in it. On leaving, all is compiled and
        loaded. It holds for the whole process: for kernels of other plugins, too.
        """
        return nullcontext()

    def warmed_up(self) -> None:  # noqa: B027 - only compilers have something to watch
        """Called before the first request, when all ops have run in every way a step runs them.

        What is compiled from now on makes a request wait: a provider that compiles says so.
        """
