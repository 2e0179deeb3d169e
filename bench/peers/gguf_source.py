"""A llama-architecture GGUF, read with the gguf package alone: peers do not depend on inferd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, dequantize
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """Metadata and tensors of one GGUF. Tensor names and the order of rows are GGUF's."""

    path: Path
    reader: GGUFReader
    metadata: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> Source:
        """Raises SystemExit when the architecture is not llama."""
        reader = GGUFReader(str(path))
        metadata = {name: field.contents() for name, field in reader.fields.items()}
        found = metadata["general.architecture"]
        if found != "llama":
            raise SystemExit(f"{path}: architecture {found!r}; the converter reads llama only")
        return cls(path, reader, metadata)

    def shape_value(self, name: str, default: Any = None) -> Any:
        return self.metadata.get(f"llama.{name}", default)

    def token_value(self, name: str, default: Any = None) -> Any:
        return self.metadata.get(f"tokenizer.ggml.{name}", default)

    @property
    def num_heads(self) -> int:
        return int(self.shape_value("attention.head_count"))

    @property
    def num_kv_heads(self) -> int:
        return int(self.shape_value("attention.head_count_kv", self.num_heads))

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """(name, fp32 weights [out, in]); quantized blocks are unpacked by gguf.quants."""
        for tensor in self.reader.tensors:
            weights = dequantize(tensor.data, tensor.tensor_type)
            yield tensor.name, np.array(weights, dtype=np.float32)  # F32 would be a read-only view
