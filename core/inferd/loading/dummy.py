"""DummyLoader: a model's configuration with random weights, for measuring speed.

The module tree decides what is drawn (`weights.draw_weights`), so this yields no tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import Verdict, no
from inferd.loading.config_json import read_config
from inferd.loading.gguf_config import open_config


class DummyLoader(WeightLoader):
    name = "dummy"

    @classmethod
    def matches(cls, path: Path) -> Verdict:  # noqa: ARG003
        return no("dummy weights are only used when asked for: --load-format dummy")

    def __init__(self, path: Path) -> None:
        self.path = path
        is_gguf = path.suffix == ".gguf"
        self._config = open_config(path) if is_gguf else read_config(path)

    @property
    def config(self) -> dict[str, Any]:
        return self._config

    @property
    def generation_config(self) -> dict[str, Any]:
        return {}

    @property
    def num_bytes(self) -> int:
        return 0

    def tensors(self) -> Iterator[RawTensor]:
        return iter(())
