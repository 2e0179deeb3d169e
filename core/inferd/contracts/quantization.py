"""QuantizationMethod: how a checkpoint stores linear weights. Contains no kernels.

A method repacks what the loader yields into a documented format (`inferd.contracts.weight_formats`)
and asks for an op by that format's name: `Ops.linear["dense"]`, "w4_g", ... Most methods describe
how one matrix is stored and leave the rest to `inferd.layers.packed`.
Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from inferd.contracts.ops import Experts, Linear, Ops
from inferd.contracts.verdict import Verdict
from inferd.errors import UnsupportedModel

if TYPE_CHECKING:
    import torch

    from inferd.contracts.loader import RawTensor


@dataclass(frozen=True, slots=True)
class LinearSpec:
    """One linear layer: its parts are fused along N (q, k, v; gate, up)."""

    name: str
    in_features: int
    out_features: tuple[int, ...]  # per part
    bias: bool
    dtype: torch.dtype
    device: torch.device
    stored_names: tuple[str, ...] = ()
    """The parts' names in the checkpoint, by which configurations tell them apart."""
    orders: tuple[torch.Tensor | None, ...] = ()
    """Which of its stored rows each row of a part is, [N]; None: as they are."""

    def stored_name(self, part: int) -> str:
        return self.stored_names[part] if self.stored_names else self.name

    def order(self, part: int) -> torch.Tensor | None:
        return self.orders[part] if self.orders else None


class Drawn(NamedTuple):
    """For `--load-format dummy`."""

    storage: str  # as RawTensor has it
    data: torch.Tensor


@dataclass(frozen=True, slots=True)
class ExpertsSpec:
    """All experts of one layer, each a gated MLP."""

    name: str
    num_experts: int
    hidden_size: int
    intermediate_size: int  # of one expert
    activation: str  # a key of Ops.act_and_mul
    bias: bool
    dtype: torch.dtype
    device: torch.device
    stored_names: tuple[tuple[str, ...], ...] = ()
    """Of each expert, the checkpoint's names of its parts."""

    def stored_name(self, expert: int, part: int) -> str:
        """By which configurations tell them apart; where all are in one tensor, that of all."""
        return self.stored_names[expert][part] if self.stored_names else self.name

    def shape(self, part: int) -> tuple[int, int]:
        """Rows and columns of a part of an expert."""
        sizes = self.intermediate_size, self.hidden_size
        return sizes if part < 2 else sizes[::-1]


class LinearMethod(ABC):
    """The weights of one linear layer, from loading to the callable."""

    num_bytes: int | None = None
    """Of the weights that `finish` made; None: those of its values in the model's dtype."""

    @abstractmethod
    def load(self, suffix: str, part: int, tensor: RawTensor) -> None:
        """Take one checkpoint tensor (`weight`, `bias`, `scales`, ...) of one part.

        Raises CheckpointError when its shape is not the expected one.
        """

    @abstractmethod
    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """Shape by (suffix, part) of all it takes; -1: any number, which `draw` then chooses."""

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:  # noqa: ARG002
        """A random tensor on the generator's device that `load` takes.

        None: any floats of the expected shape will do.
        """
        return None

    def kept_bytes(self) -> int | None:
        """What `num_bytes` will be, or about that, before anything is loaded."""
        return None

    @abstractmethod
    def missing(self) -> list[str]:
        """What has not been loaded yet, as '<suffix> of part <i>'."""

    @abstractmethod
    def finish(self) -> Linear:
        """Repack and return the callable; what is no longer needed is released."""


class ExpertsMethod(ABC):
    """The weights of all experts of one layer, from loading to the callable.

    `part` of an expert is 0 for its gate, 1 for up, 2 for down.
    """

    num_bytes: int
    """Of the weights that `finish` made."""

    dequantized: bool = False
    """Whether it has made dense weights of packed ones; known after `finish`."""

    @abstractmethod
    def load(self, suffix: str, expert: int, part: int, tensor: RawTensor) -> None:
        """Take one checkpoint tensor of one part of one expert.

        Raises CheckpointError when its shape is not the expected one.
        """

    @abstractmethod
    def expected(self, part: int) -> dict[str, tuple[int, ...]]:
        """Shape by suffix of all that a part of any expert takes; -1 as in LinearMethod."""

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:  # noqa: ARG002
        """A random tensor that `load` takes for any expert; as LinearMethod has it."""
        return None

    def kept_bytes(self) -> int | None:
        """As LinearMethod has it; None: those of all values in the model's dtype."""
        return None

    @abstractmethod
    def finish(self) -> Experts:
        """Repack and return the callable; what is no longer needed is released."""


class QuantizationMethod(ABC):
    """Registered under the checkpoint's `quant_method`."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """From the checkpoint's quantization_config; raises UnsupportedModel with the reason."""

    @classmethod
    def supports(cls, platform: str, config: Mapping[str, Any]) -> Verdict:  # noqa: ARG003
        return Verdict(True)

    def formats(self) -> Collection[str]:
        """The keys of Ops.linear that it may ask for; a format without an op is dequantized."""
        return ()

    def packs_head(self, ops: Ops) -> bool:  # noqa: ARG002
        """Whether `create` is asked for the output head, too; else that is dense."""
        return False

    @abstractmethod
    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod: ...

    def create_experts(self, spec: ExpertsSpec, ops: Ops) -> ExpertsMethod:  # noqa: ARG002
        """Raises UnsupportedModel where the method has none."""
        raise UnsupportedModel(
            f"quantization {self.name!r} has no experts, which {spec.name} needs"
        )
