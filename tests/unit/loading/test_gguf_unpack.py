"""Every storage type of GGUF, bit for bit against gguf.quants, through a written file."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf_files import write_blocks

from inferd.errors import CheckpointError
from inferd.layers.gguf_blocks import FORMATS
from inferd.loading.gguf import CHUNK_VALUES, GgufLoader
from inferd.loading.gguf_config import STORAGE

PLAIN = ["F32", "F16", "BF16"]
LEGACY = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
SUPER = ["MXFP4", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
ROWS, COLUMNS = 6, 512


def read_back(path: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    loader = GgufLoader(path)
    return {t.name: t for t in loader.tensors()}["model.layers.0.mlp.down_proj.weight"].unpack(
        dtype
    )


def assert_same_bits(found: torch.Tensor, expected: np.ndarray) -> None:
    assert tuple(found.shape) == expected.shape
    values = found.numpy()
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(values), nan)
    assert np.array_equal(values.view(np.int32)[~nan], expected.view(np.int32)[~nan])


def random_blocks(kind: Kind, rows: int, columns: int, seed: int) -> np.ndarray:
    values, size = gguf.GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (rows, columns // values * size), dtype=np.uint8)


@pytest.mark.parametrize("name", PLAIN + LEGACY + SUPER)
@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_unpack_as_gguf_does(tmp_path: Path, name: str, seed: int) -> None:
    kind = Kind[name]
    data = random_blocks(kind, ROWS, COLUMNS, seed)
    with np.errstate(all="ignore"):  # any half precision scale can occur, NaN as well
        expected = gguf.dequantize(data, kind).astype(np.float32, copy=False)
    assert_same_bits(read_back(write_blocks(tmp_path / "m.gguf", data, kind)), expected)


@pytest.mark.parametrize("name", ["F16", "BF16", *LEGACY])
def test_quantized_weights_unpack_as_gguf_does(tmp_path: Path, name: str) -> None:
    kind = Kind[name]
    weights = np.random.default_rng(7).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    data = gguf.quantize(weights, kind)
    found = read_back(write_blocks(tmp_path / "m.gguf", data.view(np.uint8), kind))
    assert_same_bits(found, gguf.dequantize(data, kind).astype(np.float32))
    assert np.abs(found.numpy() - weights).max() < 0.5, "the quantized values are not the weights"


@pytest.mark.parametrize("name", ["Q4_1", "Q6_K"])
def test_unpacking_in_pieces_gives_the_whole(tmp_path: Path, name: str) -> None:
    """Rows do not divide the piece evenly, and the last piece is short."""
    kind, columns = Kind[name], 1 << 14
    rows = 2 * (CHUNK_VALUES // columns) + 3
    data = random_blocks(kind, rows, columns, 0)
    with np.errstate(all="ignore"):
        expected = torch.from_numpy(gguf.dequantize(data, kind)).bfloat16()
    found = read_back(write_blocks(tmp_path / "m.gguf", data, kind), torch.bfloat16)
    assert torch.equal(found.nan_to_num(), expected.nan_to_num())


def test_rows_are_multiples_of_a_block(tmp_path: Path) -> None:
    path = write_blocks(tmp_path / "m.gguf", random_blocks(Kind.Q8_0, 4, 64, 0), Kind.Q8_0)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"blk.0.ffn_down.weight") + len("blk.0.ffn_down.weight") + 4
    assert raw[at] == 64
    raw[at] = 63
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="rows of 63 values, not a multiple of the 32"):
        GgufLoader(path)


def test_files_are_said_to_store_what_can_be_unpacked() -> None:
    names = {kind: f"gguf_{form.name.lower()}" for kind, form in FORMATS.items()}
    assert names == STORAGE
