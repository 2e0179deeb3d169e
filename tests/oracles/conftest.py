"""Checkpoints that the libraries wrote from SmolLM2, made once and kept in the cache."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inferd.cli import main
from inferd.config.paths import cache_dir

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
for path in (HERE, ROOT):  # helpers; bench/
    sys.path.insert(0, str(path))

CALIBRATION = 16  # texts


@pytest.fixture(scope="session")
def prompts() -> list[dict]:
    """Texts with SmolLM2's ids; the first ones calibrate, the others are measured."""
    return json.loads((ROOT / "bench/data/cpu_prompts.json").read_text())["main"]


@pytest.fixture(scope="session")
def source() -> Path:
    """SmolLM2's weights in bfloat16, as safetensors."""
    from bench.peers.processes import convert

    folder = cache_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return convert("smollm2", folder)[0]


@pytest.fixture(scope="session")
def quantized(source, prompts, tmp_path_factory) -> Callable[[str], Path]:
    """The checkpoint that `inferd quantize` makes with these words."""
    texts = tmp_path_factory.mktemp("calibration") / "texts"
    texts.write_text("\n".join(" ".join(p["text"].split()) for p in prompts[:CALIBRATION]))

    def make(words: str) -> Path:
        folder = cache_dir() / "oracles" / "checkpoints" / words.replace(" ", "")
        if not (folder / "config.json").exists():
            flags = [*words.split(), "--output", str(folder), "--calibration", str(texts)]
            assert main(["quantize", str(source), *flags]) == 0
        return folder

    return make
