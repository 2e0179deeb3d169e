"""GgufLoader: weights, configuration and tokenizer of a single GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading.gguf_header import TensorInfo, read_header
from inferd.loading.gguf_names import PERMUTED, hf_config, hf_name
from inferd.loading.mapped import open_mapped

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

PLAIN = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}  # ggml type -> dtype
PACKED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")


class GgufLoader(WeightLoader):
    """F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K."""

    name = "gguf"

    @classmethod
    def matches(cls, path: Path) -> Verdict:
        return YES if path.suffix == ".gguf" else no(f"{path.name} does not end in .gguf")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = open_mapped(path)
        self._header = read_header(self._data, path)
        self._sizes = {info.name: self._num_bytes(info) for info in self._header.tensors.values()}

    @property
    def config(self) -> dict[str, Any]:
        tensors = self._header.tensors
        if "token_embd.weight" not in tensors:
            raise CheckpointError(f"{self._path}: tensor token_embd.weight is missing")
        tied = "output.weight" not in tensors
        return hf_config(self._header.metadata, tensors["token_embd.weight"].shape[0], tied)

    @property
    def generation_config(self) -> dict[str, Any]:
        return {}

    @property
    def metadata(self) -> dict[str, Any]:
        return self._header.metadata

    @property
    def num_bytes(self) -> int:
        return sum(self._sizes.values())

    def tensors(self) -> Iterator[RawTensor]:
        for info in self._header.tensors.values():
            if info.name == "rope_freqs.weight":
                continue  # what llama3's rope scaling computes; the configuration says it too
            yield self._raw(info)

    def _raw(self, info: TensorInfo) -> RawTensor:
        size = self._sizes[info.name]
        flat = torch.frombuffer(self._data, dtype=torch.uint8, count=size, offset=info.offset)
        rows = self._unpermute(info, flat.view(-1, self._row_bytes(info)))
        name = hf_name(info.name)
        if info.kind in PLAIN:
            dtype = PLAIN[info.kind]
            data = rows.contiguous().view(dtype).view(info.shape)
            return RawTensor(name, info.shape, str(dtype).removeprefix("torch."), data)
        kind = self._quantization(info)
        unpack = partial(_dequantize, kind=kind)
        return RawTensor(name, info.shape, f"gguf_{kind.name.lower()}", rows, unpack)

    def _unpermute(self, info: TensorInfo, rows: torch.Tensor) -> torch.Tensor:
        """Undo the row order that llama.cpp's rotation wants; packed rows move as they are."""
        part = info.name.split(".")[-2] if info.name.startswith("blk.") else ""
        if part not in PERMUTED or self._header.metadata["general.architecture"] != "llama":
            return rows
        config = self.config
        heads = config["num_attention_heads"]
        if part == "attn_k":
            heads = config["num_key_value_heads"]
        return rows.view(heads, -1, 2, rows.shape[-1]).transpose(1, 2).reshape(rows.shape)

    def _quantization(self, info: TensorInfo) -> GGMLQuantizationType:
        from gguf import GGMLQuantizationType

        try:
            kind = GGMLQuantizationType(info.kind)
        except ValueError:
            kind = None
        if kind is None or kind.name not in PACKED:
            shown = kind.name if kind else info.kind
            raise UnsupportedModel(
                f"{self._path}: tensor {info.name} has type {shown}; supported: F32, F16, BF16, "
                f"{', '.join(PACKED)}"
            )
        return kind

    def _row_bytes(self, info: TensorInfo) -> int:
        columns = info.shape[-1]
        if info.kind in PLAIN:
            return columns * PLAIN[info.kind].itemsize
        from gguf import GGML_QUANT_SIZES

        block, size = GGML_QUANT_SIZES[self._quantization(info)]
        if columns % block:
            raise CheckpointError(
                f"{self._path}: tensor {info.name} has rows of {columns}, not a multiple of {block}"
            )
        return int(columns // block * size)

    def _num_bytes(self, info: TensorInfo) -> int:
        rows = 1
        for size in info.shape[:-1]:
            rows *= size
        wanted = rows * self._row_bytes(info)
        found = len(self._data) - info.offset
        if wanted <= 0 or wanted > found:
            raise CheckpointError(
                f"{self._path}: tensor {info.name} needs {wanted} bytes and the file has "
                f"{max(0, found)} left; it is truncated, fetch it again"
            )
        return wanted


def _dequantize(rows: torch.Tensor, kind: GGMLQuantizationType) -> torch.Tensor:
    from gguf.quants import dequantize

    unpack: Callable[..., Any] = dequantize
    return torch.from_numpy(unpack(rows.contiguous().numpy(), kind))
