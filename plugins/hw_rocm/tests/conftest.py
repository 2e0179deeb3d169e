"""The plugin as if it were installed: in a checkout, pytest needs no pip install of this folder."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))  # last: what is installed wins

from simulated_hip import SimulatedTorch

from inferd.builtin import cuda
from inferd.contracts import torch_platform
from inferd.host.host import discover
from inferd_hw_rocm import platform

FOLDER = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What pip would leave: the distribution's name and entry points, gone after these tests."""
    if "hw_rocm" in discover():
        yield
        return
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    place = tmp_path_factory.mktemp("installed")
    info = place / f"inferd_hw_rocm-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [f"{name} = {module}" for name, module in project["entry-points"]["inferd"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[inferd]", *points, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        yield


@pytest.fixture
def torch_as(monkeypatch: pytest.MonkeyPatch):
    """`torch_as(hip=..., cuda=..., devices=...)`: what both platforms then take for torch."""

    def put(**facts) -> SimulatedTorch:
        made = SimulatedTorch(**facts)
        for module in (torch_platform, platform, cuda):
            monkeypatch.setattr(module, "torch", made)
        return made

    return put
