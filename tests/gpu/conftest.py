"""Tests that need a GPU: make gpu-test, or pytest -m gpu tests/gpu."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for path in (HERE, HERE.parent, HERE.parent / "property"):  # helpers
    sys.path.insert(0, str(path))


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
