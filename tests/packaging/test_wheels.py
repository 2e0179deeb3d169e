"""What is in the wheels: every importable file once, types, templates, licence, entry points."""

from __future__ import annotations

import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from environments import build_wheel

ROOT = Path(__file__).parents[2]
OWN = [file.parent for file in sorted(ROOT.glob("plugins/*/pyproject.toml"))]


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as file:
        return set(file.namelist())


def sources(package: Path) -> set[str]:
    """Files of a package in the tree, as a wheel would name them."""
    return {
        str(file.relative_to(package.parent))
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def packages() -> list[Path]:
    """Every import package of the tree."""
    places = [ROOT / "core", ROOT / "server", *(ROOT / "plugins").iterdir()]
    return [p for place in places for p in place.glob("inferd*") if (p / "__init__.py").exists()]


def test_the_root_wheel_has_every_file_of_its_packages(root_wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    owned = [ROOT / p for p in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    expected = set[str]().union(*map(sources, owned))
    inside = {name for name in names(root_wheel) if ".dist-info/" not in name}
    assert inside == expected


def test_every_package_is_in_exactly_one_distribution(root_wheel, plugin_wheel):
    inside = {name.split("/")[0] for name in names(root_wheel) if ".dist-info/" not in name}
    for package in packages():
        own = (package.parent / "pyproject.toml").exists()
        assert (package.name in inside) != own, f"{package} is in two distributions or in none"
    assert not inside & {name.split("/")[0] for name in names(plugin_wheel)}


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.name)
def test_a_plugin_with_its_own_distribution_makes_a_complete_wheel(folder, tmp_path):
    inside = names(build_wheel(folder, tmp_path / "wheel"))
    (package,) = folder.glob("inferd*/__init__.py")
    assert {name for name in inside if ".dist-info/" not in name} == sources(package.parent)
    assert f"{package.parent.name}/py.typed" in inside
    assert any(name.endswith("entry_points.txt") for name in inside)


def test_types_templates_licence_and_entry_points_are_there(root_wheel):
    inside = names(root_wheel)
    for package in {name.split("/")[0] for name in inside if ".dist-info/" not in name}:
        assert f"{package}/py.typed" in inside
    for kind in ("plugin", "models", "quantization_test"):
        assert f"inferd/cli/templates/{kind}.py.txt" in inside
    (licence,) = [name for name in inside if name.endswith("LICENSE")]
    with ZipFile(root_wheel) as file:
        assert "Apache License" in file.read(licence).decode()
        (points,) = [name for name in inside if name.endswith("entry_points.txt")]
        text = file.read(points).decode()
    assert "inferd = inferd.cli:main" in text
    assert "builtin = inferd.builtin.plugin" in text


def test_a_written_plugin_makes_a_complete_wheel(plugin_wheel):
    assert names(plugin_wheel) == {
        "inferd_ops_sample/__init__.py",
        "inferd_ops_sample/plugin.py",
        "inferd_ops_sample/provider.py",
        "inferd_ops_sample/py.typed",
        *(
            f"inferd_ops_sample-0.1.0.dist-info/{name}"
            for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
        ),
    }
