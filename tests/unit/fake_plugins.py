"""Plugins for one test: a module and the metadata of a distribution, on sys.path."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

HEAD = "from inferd.plugin import hookimpl\n"


class FakePlugins:
    """`add(name, code)` installs a plugin; the fixture removes all of them again."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.place = place
        self._patch = patch
        self._patch.syspath_prepend(str(place))

    def add(self, name: str, code: str, *, dist: str | None = None, place: str = "") -> str:
        """Returns the module's name. `code` is its body, after the import of hookimpl."""
        folder = self.place / place
        folder.mkdir(exist_ok=True)
        if place:
            self._patch.syspath_prepend(str(folder))
        dist = dist or f"inferd-{name}"
        module = f"fake_{self.place.name}_{dist}_{name}".replace("-", "_")
        (folder / f"{module}.py").write_text(HEAD + textwrap.dedent(code))
        info = folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[inferd]\n{name} = {module}\n")
        self._patch.setitem(sys.modules, module, None)  # so that what the test imports is undone
        self._patch.delitem(sys.modules, module)
        return module

    def register(self, name: str, kind: str, *adds: str, dist: str | None = None) -> str:
        """A plugin whose hook calls `registry.add(...)` with each of `adds`."""
        calls = "\n".join(f"    registry.add({add})" for add in adds)
        code = f"@hookimpl\ndef inferd_register_{kind}(registry):\n{calls}\n"
        return self.add(name, code, dist=dist)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlugins:
    monkeypatch.delenv("INFERD_PLUGINS", raising=False)
    monkeypatch.delenv("INFERD_TRACE_PLUGINS", raising=False)
    place = tmp_path / f"on_path_{abs(hash(tmp_path)) % 10**8}"
    place.mkdir()
    return FakePlugins(place, monkeypatch)
