"""Wheels and virtual environments, made without network.

Packages are built by the hatchling of the environment that runs the tests. A virtual environment
starts empty but for a .pth file that leads to links to what is installed in that environment, so
dependencies are there, and inferd and its plugins are not.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Environment:
    """An empty virtual environment whose dependencies are installed already."""

    def __init__(self, place: Path) -> None:
        venv.create(place, with_pip=False, symlinks=True)
        self.bin = place / "bin"
        (site,) = place.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{_link_dependencies(place)}\n")

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


def _link_dependencies(place: Path) -> Path:
    """Everything but what an editable install leaves: metadata of inferd's, and .pth files."""
    links = place / "dependencies"
    links.mkdir()
    for found in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not found.name.startswith("inferd") and found.suffix != ".pth":
            (links / found.name).symlink_to(found)
    return links


def run(command: list[str], *, place: Path, code: int = 0) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path, into: Path) -> Path:
    words = ["--no-build-isolation", "--no-deps", "--no-index", "-q", "-w", str(into), str(source)]
    run([sys.executable, "-m", "pip", "wheel", *words], place=into.parent)
    (wheel,) = into.glob("*.whl")
    return wheel
