"""SafetensorsLoader: a Hugging Face directory with one or several safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import CheckpointError
from inferd.loading.config_json import read_config
from inferd.loading.mapped import open_mapped, read_json
from inferd.loading.read_ahead import Span, read_ahead
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
        if any(path.glob("*.safetensors")):
            return YES
        if any(path.glob("*.bin")) or any(path.glob("*.pt*")):
            return no(
                f"{path} has pickled weights only; convert them to safetensors, for example with "
                "transformers' save_pretrained"
            )
        ggufs = sorted(path.glob("*.gguf"))
        hint = f"; give the file itself: {ggufs[0]}" if ggufs else ""
        return no(f"there is no .safetensors file in {path}{hint}")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config = read_config(path)
        self._weight_map = _weight_map(path / INDEX)
        files = self._listed() if self._weight_map else self._unlisted()
        self._files = {file: read_header(file) for file in files}
        self._check_names()

    def _unlisted(self) -> list[Path]:
        """Without an index: the usual file, else all but another tool's copy of the weights."""
        usual = self.path / "model.safetensors"
        if usual.exists():
            return [usual]
        found = sorted(self.path.glob("*.safetensors"))
        return [file for file in found if not file.name.startswith("consolidated")] or found

    def _listed(self) -> list[Path]:
        files = [self.path / name for name in sorted(set(self._weight_map.values()))]
        for file in files:
            if file.parent != self.path or not file.is_file():
                raise CheckpointError(
                    f"{self.path / INDEX}: names {file.name!r}, which is not in {self.path}"
                )
        return files

    def _check_names(self) -> None:
        """Each tensor stands in one file, and in the one that the index names."""
        places: dict[str, str] = {}
        for file, stored in self._files.items():
            for tensor in stored:
                if tensor.name in places:
                    raise CheckpointError(
                        f"{file}: tensor {tensor.name!r} stands in {places[tensor.name]} as well"
                    )
                places[tensor.name] = file.name
        for name, wanted in self._weight_map.items():
            if places.get(name) != wanted:
                raise CheckpointError(
                    f"{self.path / INDEX}: tensor {name!r} should be in {wanted}, found in "
                    f"{places.get(name, 'no file')}"
                )

    @property
    def config(self) -> dict[str, Any]:
        return self._config

    @property
    def generation_config(self) -> dict[str, Any]:
        path = self.path / "generation_config.json"
        return read_json(path) if path.exists() else {}

    @property
    def num_bytes(self) -> int:
        return sum(t.end - t.start for tensors in self._files.values() for t in tensors)

    def names(self) -> list[str]:
        return [tensor.name for stored in self._files.values() for tensor in stored]

    def tensors(self) -> Iterator[RawTensor]:
        """Files are mapped when their turn comes near, and let go when it is over."""
        places = ((file, tensor) for file, stored in self._files.items() for tensor in stored)
        for span in read_ahead(self._spans()):
            file, tensor = next(places)
            yield self._raw(file, span.data, tensor)

    def _spans(self) -> Iterator[Span]:
        for file, stored in self._files.items():
            data = open_mapped(file)
            for tensor in stored:
                yield Span(data, tensor.start, tensor.end - tensor.start)

    def _raw(self, file: Path, data: Any, tensor: Stored) -> RawTensor:
        if tensor.dtype not in DTYPES:
            raise CheckpointError(f"{file}: tensor {tensor.name!r} has dtype {tensor.dtype}")
        size = tensor.end - tensor.start
        if size == 0:
            raise CheckpointError(f"{file}: tensor {tensor.name!r} is empty")
        raw = torch.frombuffer(data, dtype=torch.uint8, count=size, offset=tensor.start)
        dtype = DTYPES[tensor.dtype]
        if raw.data_ptr() % dtype.itemsize:
            raw = raw.clone()  # a header of odd length leaves the data unaligned
        value = raw.view(dtype).view(tensor.shape)
        return RawTensor(tensor.name, tensor.shape, str(dtype).removeprefix("torch."), value)


def _weight_map(index: Path) -> dict[str, str]:
    """File by tensor; empty where there is no index."""
    if not index.exists():
        return {}
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise CheckpointError(f"{index}: weight_map does not map tensors to files")
    return found
