"""Makes the writers beside these tests importable; the real model's file and tokenizer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from inferd.loading.sources import resolve
from inferd.loading.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def smollm2_file() -> Path:
    return resolve("smollm2")


@pytest.fixture(scope="session")
def smollm2_tokenizer(smollm2_file: Path) -> Tokenizer:
    return Tokenizer.load(smollm2_file)
