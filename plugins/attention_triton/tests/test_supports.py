"""What the backend refuses, and why it says so."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from inferd.contracts.attention import AttentionRequest
from inferd_attention_triton.backend import TritonAttention
from inferd_attention_triton.tuned import (
    DecodeTiles,
    select,
    select_decode,
    select_prefill,
)

LLAMA = AttentionRequest("cuda", 32, 8, 128, torch.bfloat16, 16)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head_dim": 512}, "heads of 512; 256 is the largest"),
        ({"num_kv_heads": 1, "head_dim": 640, "value_dim": 576}, "latents of 576; 512 is"),
        ({"num_kv_heads": 1, "head_dim": 576, "value_dim": 512, "window": 9}, "without window"),
        ({"dtype": torch.float64}, "torch.float64"),
    ],
)
def test_refusals(change: dict, reason: str) -> None:
    assert TritonAttention.supports(LLAMA)
    verdict = TritonAttention.supports(replace(LLAMA, **change))
    assert not verdict
    assert reason in verdict.reason


def test_a_cpu_is_for_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = replace(LLAMA, platform="cpu")
    assert TritonAttention.supports(on_cpu)
    monkeypatch.delenv("TRITON_INTERPRET")
    assert TritonAttention.supports(on_cpu).reason == "made for cuda and rocm, this is cpu"


def test_without_triton_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install inferd[triton]" in TritonAttention.supports(LLAMA).reason


@pytest.mark.parametrize(
    ("tokens", "longest", "block_m"),
    [(8192, 8192, 128), (512, 512, 64), (4096, 512, 128), (8, 4, 64), (900, 5, 64)],
)
def test_blocks_of_queries_fill_the_device(tokens: int, longest: int, block_m: int) -> None:
    tiles = select("sm_90", 128, 2)
    assert select_prefill(tiles, 32, 4, tokens, longest, 132).block_m == block_m


def test_few_rows_may_have_tiles_of_their_own() -> None:
    plain = select("gfx942", 128, 2)
    assert select_decode(plain, 1) is plain.decode
    one, few = DecodeTiles(16, 2, 2, 8), DecodeTiles(32, 2, 2, 8)
    tiles = replace(plain, few=((1, one), (16, few)))
    found = [select_decode(tiles, rows) for rows in (1, 2, 16, 17)]
    assert found == [one, few, few, plain.decode]


def test_few_rows_have_tiles_where_shared_memory_takes_them() -> None:
    hopper, older = select("sm_90", 128, 2), select("sm_89", 128, 2)
    found = [select_decode(hopper, rows).tile for rows in (1, 2, 16, 17, 32, 33)]
    assert found == [64, 128, 128, 64, 64, hopper.decode.tile]
    assert select_decode(hopper, 1) != select_decode(hopper, 32) != hopper.decode
    assert select_decode(older, 1) == older.decode
