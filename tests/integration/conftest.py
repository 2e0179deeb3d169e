"""Tiny random checkpoints, and LLMs over them that end with their test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from inferd import LLM
from inferd.builtin.ops_cpu import CpuOps
from inferd.layers.gathered import packed_experts
from inferd.testing.tiny import FAMILIES, write_checkpoint

HERE = Path(__file__).parent
TESTS = HERE.parent
for path in (HERE, TESTS, TESTS / "property", TESTS.parent):  # helpers; bench/
    sys.path.insert(0, str(path))

OPTIONS: dict[str, Any] = {
    "dtype": "float32",
    "num_blocks": 256,
    "max_num_seqs": 16,
    "max_num_batched_tokens": 256,
}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny checkpoint of every architecture."""
    root = tmp_path_factory.mktemp("checkpoints")
    for seed, architecture in enumerate(FAMILIES):
        write_checkpoint(root / architecture, architecture, seed=seed)
    return {architecture: root / architecture for architecture in FAMILIES}


@pytest.fixture
def make_llm(checkpoints: dict[str, Path]) -> Iterator[Callable[..., LLM]]:
    """`make_llm(max_num_seqs=1)`, `make_llm("Qwen3ForCausalLM")`."""
    with ExitStack() as stack:

        def make(architecture: str = "LlamaForCausalLM", **options: Any) -> LLM:
            path = str(checkpoints[architecture])
            return stack.enter_context(LLM(path, **{**OPTIONS, **options}))

        yield make


@pytest.fixture(scope="module", autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads that wait for each other make tiny models slower; the real one takes them all."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name != "test_parity.py":
            patch.setenv("OMP_NUM_THREADS", "1")  # of engine processes
            torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shared_llm(checkpoints: dict[str, Path]) -> Iterator[LLM]:
    """The Llama with everything at its default: for tests that leave no trace in it."""
    with LLM(str(checkpoints["LlamaForCausalLM"]), **OPTIONS) as llm:
        yield llm


@pytest.fixture
def exact_ops(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Linears and experts of all four formats; the set has those of experts that came packed."""
    from packed_answers import FORMATS

    given, original = set[str](), CpuOps.ops

    def linear(weight: Any, bias: torch.Tensor | None) -> Any:
        return lambda x_TK: F.linear(x_TK, weight.dequantize(x_TK.dtype), bias)

    def experts(gate_up: Sequence[Any], down: Sequence[Any], *args: Any) -> Any:
        given.update(weight.format for weight in (*gate_up, *down))
        return packed_experts(linear)(gate_up, down, *args)

    def ops(self: CpuOps, request: Any) -> dict[str, Any]:
        offered: dict[str, Any] = dict(original(self, request))
        offered["linear"] = {**offered["linear"], **dict.fromkeys(FORMATS, linear)}
        return offered | {"packed_experts": dict.fromkeys(FORMATS, experts)}

    monkeypatch.setattr(CpuOps, "ops", ops)
    yield given
