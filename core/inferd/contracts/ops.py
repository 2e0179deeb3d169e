"""Ops: the kernels a model is made of, chosen once at load.

Those that sample are in `sampling_ops`, those of a step's inputs and of the cache in `step_ops`.

Shape suffixes: T tokens, D hidden, I intermediate, N out features, K in features, V vocabulary; of
a mixture of experts, M experts and C of them chosen for a token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from inferd.contracts.platform import Record
from inferd.contracts.sampling_ops import Argmax, Draw, DrawFiltered, Mask, TopLogprobs
from inferd.contracts.step_ops import LatentKvWrite, PrepareInputs, PrepareRope, RopeKvWrite
from inferd.contracts.verdict import Verdict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Linear = Callable[["Tensor"], "Tensor"]  # x_TK -> out_TN
"""It may have `fused`: by name (rms_norm, add_rms_norm, a key of act_and_mul) that op with another
result, which this linear alone takes in place of a tensor: x rounded to FP8, say. It may have
`gated`, by a key of act_and_mul: a `GatedLinear` that makes what that op makes of this one's."""


@dataclass(frozen=True, slots=True)
class GatedLinear:
    """act(gate) * up in one, of a product whose first half is gate and whose second half is up."""

    suits: Callable[[int], bool]  # of a number of tokens: whether that is faster
    multiply: Linear  # x_TK -> out_TI, N = 2 I


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


class MakePackedExperts(Protocol):
    """As MakeExperts, of weights that stay packed, one for each expert.

    Those of `gate_up` are of one format and those of `down` of one: any two of the formats that
    `Ops.packed_experts` has it for. `act` is what `Ops.act_and_mul` has as `activation`: between
    products of its own a kernel computes what the name says, others call the op. None: it does not
    multiply these, by their groups or as experts differ; they are dequantized then.
    """

    def __call__(
        self,
        gate_up: Sequence[Any],
        down: Sequence[Any],
        activation: str,
        act: ActAndMul,
        gate_up_bias_MN: Tensor | None = None,
        down_bias_MD: Tensor | None = None,
    ) -> Experts | None: ...


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
    experts: Mapping[str, MakeExperts]  # dense
    packed_experts: Mapping[str, MakePackedExperts]  # by weight format; others are dequantized
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
