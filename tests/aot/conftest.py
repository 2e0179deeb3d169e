"""Fixtures for compiling kernels ahead of time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def variants(request) -> ModuleType:
    """plugins/NAME/tests/variants.py, for a test module that says PLUGIN = NAME.

    Or another file there, for one that says VARIANTS = its name.
    """
    name = getattr(request.module, "VARIANTS", "variants")
    path = PLUGINS / request.module.PLUGIN / "tests" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_of_{request.module.PLUGIN}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
