"""Safetensors directories: one file or several, and every way in which they can be unsound."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inferd.errors import CheckpointError
from inferd.loading.safetensors import DTYPES, INDEX, SafetensorsLoader
from inferd.testing.tiny import write_checkpoint

INDEXED = "model-0000{}-of-00002.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path, num_hidden_layers=1)
    return tmp_path


@pytest.fixture
def sharded(folder: Path) -> Path:
    """The same weights in two files with an index."""
    whole = folder / "model.safetensors"
    tensors = read(folder)
    weight_map = {name: INDEXED.format(1 + i % 2) for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        save_file({n: t for n, t in tensors.items() if weight_map[n] == file}, folder / file)
    whole.unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def read(folder: Path) -> dict[str, torch.Tensor]:
    """By the safetensors package."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return found


def assert_same(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    loader = SafetensorsLoader(folder)
    found = {raw.name: raw for raw in loader.tensors()}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        raw = found[name]
        assert (raw.shape, raw.storage) == (tuple(tensor.shape), str(tensor.dtype)[6:])
        bits = (t.contiguous().view(torch.uint8) for t in (raw.data, tensor))
        assert torch.equal(*bits), name
    assert loader.num_bytes == sum(t.numel() * t.element_size() for t in expected.values())


def test_one_file(folder: Path) -> None:
    assert_same(folder, read(folder))


def test_several_files(sharded: Path) -> None:
    assert len(list(sharded.glob("*.safetensors"))) == 2
    assert_same(sharded, read(sharded))
    (sharded / INDEX).unlink()
    assert_same(sharded, read(sharded))


def test_another_tools_copy_is_left_alone(sharded: Path) -> None:
    expected = read(sharded)
    (sharded / INDEX).unlink()
    save_file({"tok_embeddings.weight": torch.ones(2)}, sharded / "consolidated.safetensors")
    assert_same(sharded, expected)


@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d != torch.bool])
def test_every_dtype(folder: Path, dtype: torch.dtype) -> None:
    size = dtype.itemsize
    generator = torch.Generator().manual_seed(size)
    raw = torch.randint(0, 256, (3, 5 * size), dtype=torch.uint8, generator=generator)
    save_file({"x": raw.view(dtype), "y": raw[0].clone().view(dtype)}, folder / "model.safetensors")
    assert_same(folder, read(folder))


def test_data_after_a_header_of_odd_length(folder: Path) -> None:
    def odd(header: dict[str, Any]) -> None:
        header["__metadata__"] = {"x": "y"}

    for _ in range(3):
        rewrite(folder, odd, padding=1)
        assert_same(folder, read(folder))


def rewrite(
    folder: Path, change: Callable[[dict[str, Any]], None], padding: int = 0, tail: bytes = b""
) -> None:
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode() + b" " * padding
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :] + tail)


NAME = "model.norm.weight"


def _set(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header[NAME].update(fields)


UNSOUND: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "shape": (_set(shape=[73]), r"'model.norm.weight' is F32 \[73\], expected 292 bytes"),
    "shape of nothing": (_set(shape=[0], data_offsets=[0, 0]), "overlaps|hole|empty"),
    "huge": (_set(shape=[1 << 60, 1 << 60]), "expected .* bytes, found 288"),
    "negative": (_set(shape=[-72]), "malformed header entry"),
    "fraction": (_set(shape=[72.0]), "malformed header entry"),
    "truth": (_set(shape=[True]), "malformed header entry"),
    "dtype": (_set(dtype="F17"), "malformed header entry"),
    "dtype of another type": (_set(dtype=["F32"]), "malformed header entry"),
    "no offsets": (lambda header: header[NAME].pop("data_offsets"), "malformed header entry"),
    "offsets of three": (_set(data_offsets=[0, 1, 2]), "malformed header entry"),
    "entry": (lambda header: header.update({NAME: 5}), "malformed header entry"),
    "overlap": (_set(data_offsets=[0, 288]), "overlaps the one before|leaves a hole"),
    "beyond": (_set(data_offsets=[1 << 40, (1 << 40) + 288]), "hole"),
    "removed": (lambda header: header.pop(NAME), "leaves a hole before it|describes"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_headers_are_named(folder: Path, case: str) -> None:
    change, message = UNSOUND[case]
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        list(SafetensorsLoader(folder).tensors())
    assert "model.safetensors" in str(caught.value)
    assert caught.value.exit_code == 5


def test_bytes_after_the_last_tensor_are_refused(folder: Path) -> None:
    rewrite(folder, lambda header: None, tail=b"x")
    with pytest.raises(CheckpointError, match=r"describes .* bytes and the file has"):
        SafetensorsLoader(folder)


@pytest.mark.parametrize("keep", [0, 3, 8, 9, 500, -1])
def test_truncated_files_are_named(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model.safetensors: .*(truncated|hole|describes)"):
        SafetensorsLoader(folder)


@pytest.mark.parametrize("text", [b"[1]", b"{", b"[" * 90_000, b'{"a":1,"a":2}', b"\xff\xff"])
def test_headers_that_are_no_objects(folder: Path, text: bytes) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(CheckpointError, match=r"model.safetensors: .*(JSON|malformed)"):
        SafetensorsLoader(folder)


def test_a_header_longer_than_the_format_allows(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(CheckpointError, match="header of 4611686018427387904"):
        SafetensorsLoader(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update({NAME: "absent.safetensors"}), "names 'absent.safetensors', which is"),
        (lambda m: m.update({NAME: "../x.safetensors"}), "which is not in"),
        (lambda m: m.update({NAME: 7}), "weight_map does not map tensors to files"),
        (lambda m: m.update(extra=INDEXED.format(1)), "'extra' should be in .* found in no file"),
        (
            lambda m: m.update(dict.fromkeys(m, INDEXED.format(1))),
            "should be in .*1-of-.* found in",
        ),
    ],
)
def test_an_index_that_is_wrong(sharded: Path, change: Any, message: str) -> None:
    index = json.loads((sharded / INDEX).read_text())
    change(index["weight_map"])
    (sharded / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=message):
        SafetensorsLoader(sharded)


def test_a_tensor_in_two_files(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    save_file({NAME: torch.ones(72)}, sharded / "more.safetensors")
    with pytest.raises(CheckpointError, match=rf"{NAME}' stands in .* as well"):
        SafetensorsLoader(sharded)


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"a": NaN', "[" * 90_000])
def test_config_json_is_missing_or_broken(folder: Path, content: str | None) -> None:
    path = folder / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=r"config.json") as caught:
        SafetensorsLoader(folder)
    assert len(str(caught.value)) < 400
