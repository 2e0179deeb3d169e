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

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading.mapped import open_mapped

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
LENGTH = struct.Struct("<Q")


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
    alignment: int
    start: int  # of the tensors' data


class _Cursor:
    """Reads forward; raises CheckpointError past the end."""

    def __init__(self, data: mmap.mmap, path: Path, strings: bool) -> None:
        self.data = data
        self.at = 0
        self._path = path
        self._strings = strings

    def fail(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self._path}: not a readable GGUF file: {why} at byte {self.at}")

    def bytes(self, size: int) -> bytes:
        self.skip(size)
        return self.data[self.at - size : self.at]

    def skip(self, size: int) -> None:
        if self.at + size > len(self.data):
            raise self.fail(f"{size} bytes wanted, {len(self.data) - self.at} left")
        self.at += size

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def text(self) -> str:
        return self.bytes(self.scalar("<Q")).decode("utf-8", "replace")

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
            return self._texts(count)
        if kind not in SCALARS:
            raise self.fail(f"unknown array type {kind}")
        raw = self.bytes(count * struct.calcsize(SCALARS[kind]))
        return list(struct.unpack(f"<{count}{SCALARS[kind][1]}", raw))

    def _texts(self, count: int) -> list[str]:
        """A vocabulary has hundreds of thousands of these: one loop without calls of our own."""
        if count * LENGTH.size > len(self.data) - self.at:
            raise self.fail(f"an array of {count} strings does not fit the file")
        data, end, at = self.data, len(self.data), self.at
        found = []
        for _ in range(count):
            start = at + LENGTH.size
            at = start + LENGTH.unpack_from(data, at)[0] if start <= end else end + 1
            if at > end:
                raise self.fail("a string of this array runs past the end of the file")
            if self._strings:
                found.append(data[start:at].decode("utf-8", "replace"))
        self.at = at
        return found


def open_header(path: Path, *, strings: bool = True) -> GgufHeader:
    """`read_header` of a file whose data is not needed; the mapping is closed."""
    with open_mapped(path) as data:
        return read_header(data, path, strings=strings)


def read_header(data: mmap.mmap, path: Path, *, strings: bool = True) -> GgufHeader:
    """Without `strings`, arrays of strings (the vocabulary) are checked and come back empty.

    Raises CheckpointError, in one line, for anything that is not a sound header.
    """
    cursor = _Cursor(data, path, strings)
    if data[:4] != MAGIC:
        raise CheckpointError(f"{path}: not a GGUF file: it does not begin with 'GGUF'")
    cursor.skip(len(MAGIC))
    version = cursor.scalar("<I")
    if version not in (2, 3):
        raise CheckpointError(f"{path}: GGUF version {version} is not supported; known: 2, 3")
    num_tensors, num_entries = cursor.scalar("<Q"), cursor.scalar("<Q")
    if num_tensors > MOST_TENSORS or num_entries > MOST_ENTRIES:
        raise cursor.fail(f"{num_tensors} tensors and {num_entries} entries are too many")
    metadata = _metadata(cursor, num_entries)
    infos = [_tensor_info(cursor) for _ in range(num_tensors)]
    alignment = _alignment(metadata, path)
    start = -(-cursor.at // alignment) * alignment
    tensors = {
        info.name: TensorInfo(info.name, info.shape, info.kind, start + info.offset)
        for info in infos
    }
    if len(tensors) != len(infos):
        raise CheckpointError(f"{path}: a tensor name stands twice in the GGUF header")
    return GgufHeader(metadata, tensors, alignment, start)


def _metadata(cursor: _Cursor, num_entries: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(num_entries):
        key = cursor.text()
        if key in metadata:
            raise cursor.fail(f"the key {key[:64]!r} stands twice")
        metadata[key] = cursor.value(cursor.scalar("<I"))
    return metadata


def _alignment(metadata: dict[str, Any], path: Path) -> int:
    split = metadata.get("split.count", 0)
    if isinstance(split, int) and split > 1:
        raise UnsupportedModel(
            f"{path}: one of {split} parts of a model; join them with llama-gguf-split --merge"
        )
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
        raise CheckpointError(f"{path}: general.alignment {alignment!r} is not a multiple of 8")
    return alignment


def _tensor_info(cursor: _Cursor) -> TensorInfo:
    name = cursor.text()
    dimensions = cursor.scalar("<I")
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise cursor.fail(f"tensor {name[:64]!r} has {dimensions} dimensions")
    shape = tuple(cursor.scalar("<Q") for _ in range(dimensions))[::-1]
    if 0 in shape:
        raise cursor.fail(f"tensor {name[:64]!r} has an empty dimension")
    return TensorInfo(name, shape, cursor.scalar("<I"), cursor.scalar("<Q"))
