"""Checkpoints as the writers of the plugins' own tests store them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


def contract(plugin: str) -> Any:
    """The contract of the plugin's own tests, which has a writer."""
    pytest.importorskip(f"inferd_quant_{plugin}")
    folder = PLUGINS / f"quant_{plugin}" / "tests"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(
            f"{plugin}_contract", folder / "test_contract.py"
        )
        assert spec is not None and spec.loader is not None
        module = ModuleType(spec.name)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module.TestContract()
