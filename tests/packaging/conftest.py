"""Wheels of the repository and of a written plugin, built once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from environments import ROOT, Environment, build_wheel, run


@pytest.fixture(scope="session")
def root_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("root") / "wheel")


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `inferd plugins new ops sample` writes."""
    place = tmp_path_factory.mktemp("written")
    inferd = str(Path(sys.executable).parent / "inferd")
    run([inferd, "plugins", "new", "ops", "sample", "--into", str(place)], place=place)
    return place / "inferd-ops-sample"


@pytest.fixture(scope="session")
def plugin_wheel(plugin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(plugin_folder, tmp_path_factory.mktemp("plugin") / "wheel")


@pytest.fixture
def make_environment(tmp_path: Path) -> Callable[[], Environment]:
    return lambda: Environment(tmp_path / "environment")


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT
