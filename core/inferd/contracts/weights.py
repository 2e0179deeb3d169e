"""TakesWeights: what a module with weights offers to the loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferd.contracts.loader import RawTensor


@runtime_checkable
class TakesWeights(Protocol):
    """Implemented by linears, embeddings and norms; found by their place in the module tree."""

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:
        """Take `<module>.<suffix>`; `part` is its place in a fused module, else 0.

        Raises CheckpointError, naming expected and found shape.
        """

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """Shape by (suffix, part) of all it takes; what `--load-format dummy` draws."""

    def missing(self) -> list[str]:
        """Suffixes (with part, where fused) that have not been loaded.

        `finish` follows as soon as this is empty, so that unpacked copies do not pile up.
        """

    def finish(self) -> None:
        """Everything is loaded: repack for the kernels and release what is no longer needed."""
