"""Reads the header of a GGUF file: metadata and the places of the tensors.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little endian).
The file is mapped, not read; every offset and count is checked against its size first.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError

MAGIC = b"GGUF"
MOST_TENSORS = 1 << 20
MOST_ENTRIES = 1 << 16
MOST_DIMENSIONS = 4
STRING, ARRAY = 8, 9
SCALARS = {  # value type -> struct format
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`shape` in Hugging Face's order, [out, in]; `offset` from the start of the file."""

    name: str
    shape: tuple[int, ...]
    kind: int  # ggml type
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


class _Cursor:
    """Reads forward; raises CheckpointError past the end."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data = data
        self.at = 0
        self._path = path

    def fail(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self._path}: not a readable GGUF file: {why} at byte {self.at}")

    def bytes(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise self.fail(f"{size} bytes wanted, {len(self.data) - self.at} left")
        value = self.data[self.at : self.at + size]
        self.at += size
        return value

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def text(self) -> str:
        raw = self.bytes(self.scalar("<Q"))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array()
        if kind not in SCALARS:
            raise self.fail(f"unknown value type {kind}")
        return self.scalar(SCALARS[kind])

    def array(self) -> list[Any]:
        kind, count = self.scalar("<I"), self.scalar("<Q")
        if kind == STRING:
            if count * 8 > len(self.data) - self.at:
                raise self.fail(f"an array of {count} strings does not fit the file")
            return [self.text() for _ in range(count)]
        if kind not in SCALARS:
            raise self.fail(f"unknown array type {kind}")
        letter = SCALARS[kind][1]
        raw = self.bytes(count * struct.calcsize(SCALARS[kind]))
        return list(struct.unpack(f"<{count}{letter}", raw))


def read_header(data: mmap.mmap, path: Path) -> GgufHeader:
    """Raises CheckpointError, in one line, for anything that is not a sound header."""
    cursor = _Cursor(data, path)
    if cursor.bytes(4) != MAGIC:
        raise CheckpointError(f"{path}: not a GGUF file: it does not begin with 'GGUF'")
    version = cursor.scalar("<I")
    if version not in (2, 3):
        raise CheckpointError(f"{path}: GGUF version {version} is not supported; known: 2, 3")
    num_tensors, num_entries = cursor.scalar("<Q"), cursor.scalar("<Q")
    if num_tensors > MOST_TENSORS or num_entries > MOST_ENTRIES:
        raise cursor.fail(f"{num_tensors} tensors and {num_entries} entries are too many")
    metadata = {}
    for _ in range(num_entries):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.scalar("<I"))
    infos = [_tensor_info(cursor) for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment % 8:
        raise CheckpointError(f"{path}: general.alignment {alignment!r} is not a multiple of 8")
    start = -(-cursor.at // alignment) * alignment
    tensors = {
        info.name: TensorInfo(info.name, info.shape, info.kind, start + info.offset)
        for info in infos
    }
    if len(tensors) != len(infos):
        raise CheckpointError(f"{path}: a tensor name stands twice in the GGUF header")
    return GgufHeader(metadata, tensors)


def _tensor_info(cursor: _Cursor) -> TensorInfo:
    name = cursor.text()
    dimensions = cursor.scalar("<I")
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise cursor.fail(f"tensor {name[:64]!r} has {dimensions} dimensions")
    shape = tuple(cursor.scalar("<Q") for _ in range(dimensions))[::-1]
    return TensorInfo(name, shape, cursor.scalar("<I"), cursor.scalar("<Q"))
