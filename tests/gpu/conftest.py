"""Tests that need a GPU: make gpu-test, or pytest -m gpu tests/gpu."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for path in (HERE, HERE.parent, HERE.parent / "property"):  # helpers
    sys.path.insert(0, str(path))


SHAPE = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64, "num_attention_heads": 8}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of four layers, with heads that the kernels for GPUs take."""
    from inferd.testing.tiny import write_checkpoint

    folder = tmp_path_factory.mktemp("model")
    write_checkpoint(folder, "LlamaForCausalLM", seed=1, num_hidden_layers=4, **SHAPE)
    return folder


@pytest.fixture(autouse=True, scope="session")
def gpu() -> None:
    """Whoever asked for these tests learns why none ran: a skip would read as success."""
    import torch

    if not torch.cuda.is_available():
        pytest.exit(
            f"tests/gpu need a GPU, and torch {torch.__version__} sees none here\n"
            "  leave them out with: pytest -m 'not gpu'",
            returncode=3,
        )
