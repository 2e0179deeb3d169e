"""Checks a safetensors header before anything is read through it.

Format and limits: https://github.com/huggingface/safetensors (8 bytes of length, JSON, data).
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError

MOST_HEADER_BYTES = 100_000_000
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2,
    "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor's place; `start` and `end` count from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> list[Stored]:
    """Tensors in file order. Raises CheckpointError, in one line, for an unsound file."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
            if len(first) < 8 or length > min(size - 8, MOST_HEADER_BYTES):
                raise CheckpointError(
                    f"{path}: not a readable safetensors file: {size} bytes, header of {length}; "
                    "it is truncated or something else, fetch it again"
                )
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        header = json.loads(text, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the safetensors header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the safetensors header is not a JSON object")
    header.pop("__metadata__", None)
    tensors = [_stored(path, name, entry, 8 + length) for name, entry in header.items()]
    tensors.sort(key=lambda t: t.start)
    _check_coverage(path, tensors, 8 + length, size)
    return tensors


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _stored(path: Path, name: str, entry: Any, base: int) -> Stored:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        numbers = (*shape, begin, end)
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError
        wanted = math.prod(shape) * ITEM_BYTES[dtype]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path}: tensor {name!r} has a malformed header entry") from None
    if end - begin != wanted:
        raise CheckpointError(
            f"{path}: tensor {name!r} is {dtype} {list(shape)}, expected {wanted} bytes, "
            f"found {end - begin}"
        )
    return Stored(name, dtype, shape, base + begin, base + end)


def _check_coverage(path: Path, tensors: list[Stored], base: int, size: int) -> None:
    at = base
    for tensor in tensors:
        if tensor.start != at:
            word = "overlaps the one before" if tensor.start < at else "leaves a hole before it"
            raise CheckpointError(f"{path}: tensor {tensor.name!r} {word}")
        at = tensor.end
    if at != size:
        raise CheckpointError(
            f"{path}: the header describes {at} bytes and the file has {size}; "
            "it is truncated, fetch it again"
        )
