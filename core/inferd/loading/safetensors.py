"""SafetensorsLoader: a Hugging Face directory with one or several safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import CheckpointError
from inferd.loading.mapped import open_mapped, read_json
from inferd.loading.safetensors_header import Stored, read_header

DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
INDEX = "model.safetensors.index.json"


class SafetensorsLoader(WeightLoader):
    """Every header is checked before the first tensor is read; data is mapped, not copied."""

    name = "safetensors"

    @classmethod
    def matches(cls, path: Path) -> Verdict:
        if not path.is_dir():
            return no(f"{path.name} is not a directory")
        if not any(path.glob("*.safetensors")):
            return no(f"there is no .safetensors file in {path}")
        return YES

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = {file: read_header(file) for file in self._find_files()}

    def _find_files(self) -> list[Path]:
        index = self._path / INDEX
        if not index.exists():
            return sorted(self._path.glob("*.safetensors"))
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise CheckpointError(f"{index}: weight_map is missing")
        files = [self._path / name for name in sorted(set(weight_map.values()))]
        for file in files:
            if file.parent != self._path or not file.exists():
                raise CheckpointError(f"{index}: names {file.name}, which is not in {self._path}")
        return files

    @property
    def config(self) -> dict[str, Any]:
        return read_json(self._path / "config.json")

    @property
    def generation_config(self) -> dict[str, Any]:
        path = self._path / "generation_config.json"
        return read_json(path) if path.exists() else {}

    @property
    def num_bytes(self) -> int:
        return sum(t.end - t.start for tensors in self._files.values() for t in tensors)

    def tensors(self) -> Iterator[RawTensor]:
        for file, stored in self._files.items():
            data = open_mapped(file)
            for tensor in stored:
                yield self._raw(file, data, tensor)

    def _raw(self, file: Path, data: Any, tensor: Stored) -> RawTensor:
        if tensor.dtype not in DTYPES:
            raise CheckpointError(f"{file}: tensor {tensor.name} has dtype {tensor.dtype}")
        size = tensor.end - tensor.start
        if size == 0:
            raise CheckpointError(f"{file}: tensor {tensor.name} is empty")
        raw = torch.frombuffer(data, dtype=torch.uint8, count=size, offset=tensor.start)
        dtype = DTYPES[tensor.dtype]
        if raw.data_ptr() % dtype.itemsize:
            raw = raw.clone()  # a header of odd length leaves the data unaligned
        value = raw.view(dtype).view(tensor.shape)
        return RawTensor(tensor.name, tensor.shape, str(dtype).removeprefix("torch."), value)
