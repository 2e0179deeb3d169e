"""GgufLoader: weights and configuration of a single GGUF file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.layers.gguf_blocks import FORMATS
from inferd.loading.gguf_config import read_config
from inferd.loading.gguf_experts import each_expert
from inferd.loading.gguf_halves import with_whole
from inferd.loading.gguf_header import TensorInfo, read_header
from inferd.loading.gguf_names import INTERLEAVED, OFFSET_NORMS, PERMUTED, hf_name
from inferd.loading.mapped import open_mapped
from inferd.loading.read_ahead import Span, read_ahead

PLAIN = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}  # ggml type -> dtype
VECTORS = ("shared_expert_gate.weight",)  # matrices of one row that files may have as a vector
CHUNK_VALUES = 1 << 19  # unpacked at a time: 2 MB of float32 stay in cache


@dataclass(slots=True)
class PackedTensor(RawTensor):
    """Unpacks a few rows at a time, so that no float32 copy of the whole exists."""

    def unpack(self, dtype: torch.dtype) -> torch.Tensor:
        assert self.unpack_rows is not None
        columns = self.shape[-1]
        dense = torch.empty(math.prod(self.shape[:-1]), columns, dtype=dtype)
        step = max(1, CHUNK_VALUES // columns)
        for start in range(0, len(dense), step):
            dense[start : start + step] = self.unpack_rows(self.data[start : start + step])
        return dense.view(self.shape)


class GgufLoader(WeightLoader):
    """F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K and MXFP4."""

    name = "gguf"

    @classmethod
    def matches(cls, path: Path) -> Verdict:
        return YES if path.suffix == ".gguf" else no(f"{path.name} does not end in .gguf")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = open_mapped(path)
        self._header = read_header(self._data, path, strings=False)
        self._sizes = {info.name: self._num_bytes(info) for info in self._header.tensors.values()}
        self._check_places()
        self._config = read_config(self._header, self._data, path)

    @property
    def config(self) -> dict[str, Any]:
        return self._config

    @property
    def generation_config(self) -> dict[str, Any]:
        return {}

    @property
    def num_bytes(self) -> int:
        return sum(self._sizes.values())

    def tensors(self) -> Iterator[RawTensor]:
        # the configuration's rope_scaling says what rope_freqs has
        infos = [i for i in self._header.tensors.values() if i.name != "rope_freqs.weight"]
        spans = (Span(self._data, info.offset, self._sizes[info.name]) for info in infos)
        read = (info for info, _ in zip(infos, read_ahead(spans), strict=True))
        yield from with_whole(tensor for info in read for tensor in each_expert(self._raw(info)))

    def _raw(self, info: TensorInfo) -> RawTensor:
        size = self._sizes[info.name]
        flat = torch.frombuffer(self._data, dtype=torch.uint8, count=size, offset=info.offset)
        rows = self._unpermute(info, flat.view(-1, self._row_bytes(info)))
        model_type = self._config["model_type"]
        name = hf_name(info.name, model_type)
        if info.kind in PLAIN:
            dtype = PLAIN[info.kind]
            vector = len(info.shape) == 1 and name.endswith(VECTORS)
            shape = (1, *info.shape) if vector else info.shape
            data = rows.view(dtype).view(shape)
            if model_type in OFFSET_NORMS and name.endswith("norm.weight"):
                data = data - 1
            return RawTensor(name, shape, str(dtype).removeprefix("torch."), data)
        form = FORMATS[info.kind]

        def unpack_rows(rows: torch.Tensor) -> torch.Tensor:
            return form.unpack(rows.reshape(-1, form.num_bytes)).view(len(rows), -1)

        return PackedTensor(name, info.shape, f"gguf_{form.name.lower()}", rows, unpack_rows)

    def _unpermute(self, info: TensorInfo, rows: torch.Tensor) -> torch.Tensor:
        """Undo the row order that llama.cpp's rotation wants; packed rows move as they are."""
        part = info.name.split(".")[-2] if info.name.startswith("blk.") else ""
        if part not in PERMUTED or self._config["model_type"] not in INTERLEAVED:
            return rows
        heads = self._config[PERMUTED[part]]
        if info.shape[0] % (2 * heads):
            raise CheckpointError(
                f"{self.path}: tensor {info.name} has {info.shape[0]} rows, which {heads} heads "
                "cannot share"
            )
        if len(info.shape) == 1:  # a bias: its values are the rows
            rows = rows.view(info.shape[0], -1)
        return rows.view(heads, -1, 2, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)

    def _row_bytes(self, info: TensorInfo) -> int:
        columns = info.shape[-1]
        if info.kind in PLAIN:
            return columns * PLAIN[info.kind].itemsize
        if info.kind not in FORMATS:
            known = ", ".join(form.name for form in FORMATS.values())
            raise UnsupportedModel(
                f"{self.path}: tensor {info.name!r} has ggml type {info.kind}; supported: "
                f"F32, F16, BF16, {known}"
            )
        form = FORMATS[info.kind]
        if columns % form.num_values:
            raise CheckpointError(
                f"{self.path}: tensor {info.name!r} has rows of {columns} values, not a multiple "
                f"of the {form.num_values} of a {form.name} block"
            )
        return columns // form.num_values * form.num_bytes

    def _num_bytes(self, info: TensorInfo) -> int:
        wanted = math.prod(info.shape[:-1]) * self._row_bytes(info)
        found = max(0, len(self._data) - info.offset)
        if wanted > found:
            raise CheckpointError(
                f"{self.path}: tensor {info.name!r} needs {wanted} bytes and the file has "
                f"{found} left; it is truncated, fetch it again"
            )
        return wanted

    def _check_places(self) -> None:
        """Tensors follow each other, aligned, as ggml requires: no overlap and no hole."""
        alignment, at = self._header.alignment, self._header.start
        for info in sorted(self._header.tensors.values(), key=lambda info: info.offset):
            if info.offset != at:
                raise CheckpointError(
                    f"{self.path}: tensor {info.name!r} begins at byte {info.offset}, expected "
                    f"{at}: tensors overlap or leave a hole"
                )
            at += -(-self._sizes[info.name] // alignment) * alignment
