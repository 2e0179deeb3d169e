"""Wheels and virtual environments, made without network.

Packages are built by the hatchling of the environment that runs the tests. A virtual environment
starts empty but for a .pth file that leads to that environment's site-packages, so dependencies
are there; .pth files inside of it are not followed, so an editable inferd is not.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Environment:
    """An empty virtual environment whose dependencies are installed already."""

    def __init__(self, place: Path) -> None:
        venv.create(place, with_pip=False, symlinks=True)
        self.bin = place / "bin"
        (site,) = place.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def pip(self, *words: str) -> None:
        python = str(self.bin / "python")
        command = [sys.executable, "-m", "pip", "--python", python, "--no-input", "-q", *words]
        run(command, place=self.bin.parent)

    def install(self, *words: str | Path) -> None:
        """Without dependencies, network and build isolation."""
        self.pip("install", "--no-deps", "--no-index", "--no-build-isolation", *map(str, words))

    def run(self, *command: str, place: Path | None = None, code: int = 0) -> str:
        """Standard output of one of its programs, started outside of the repository."""
        first, *rest = command
        return run([str(self.bin / first), *rest], place=place or self.bin.parent, code=code)


def run(command: list[str], *, place: Path, code: int = 0) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path, into: Path) -> Path:
    words = ["--no-build-isolation", "--no-deps", "--no-index", "-q", "-w", str(into), str(source)]
    run([sys.executable, "-m", "pip", "wheel", *words], place=into.parent)
    (wheel,) = into.glob("*.whl")
    return wheel


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
