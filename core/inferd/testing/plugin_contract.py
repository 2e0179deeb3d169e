"""PluginContract: what every plugin owes, whatever it registers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any, ClassVar

from inferd.host.catalog import KINDS
from inferd.host.host import Host, discover
from inferd.host.selection import ESSENTIALS, Selection
from inferd.plugin import Entry, Registry

HEAVY = ("torch", "triton", "transformers")
PROBE = """
import json, sys
from inferd.testing.plugin_contract import HEAVY, listing, load
offers = listing(load(sys.argv[1]), sys.argv[1])
print(json.dumps({"heavy": [name for name in HEAVY if name in sys.modules], "offers": offers}))
"""


class PluginContract:
    """It is installed, registers something, is cheap to load, and can be left out.

    The whole of a plugin's test file:

        from inferd.testing import PluginContract

        class TestContract(PluginContract):
            plugin = "awq"          # the name of its entry point in the group `inferd`

    The contracts of the kinds inherit these checks: use the one of what the plugin registers.
    """

    plugin: ClassVar[str]

    def test_is_discovered_by_its_entry_point(self) -> None:
        assert self.plugin in discover(), (
            f"no installed distribution has the entry point {self.plugin!r} in the group "
            f"'inferd'; found: {', '.join(discover())}\n  pip install -e the plugin's folder"
        )

    def test_registers_something(self) -> None:
        assert own_entries(load(self.plugin), self.plugin), (
            f"{self.plugin!r} loads but registers nothing: its plugin.py needs functions named "
            f"inferd_register_<kind>, marked @hookimpl; kinds: {', '.join(KINDS)}"
        )

    def test_loads_in_a_fresh_process_without_heavy_imports(self) -> None:
        found = probe(self.plugin)
        assert not found["heavy"], (
            f"loading {self.plugin!r} imported {', '.join(found['heavy'])}; plugin.py names its "
            "targets as 'module:attr' and imports nothing but inferd.plugin"
        )
        here = listing(load(self.plugin), self.plugin)
        assert found["offers"] == here, (
            f"{self.plugin!r} registers {found['offers']} in a fresh process and {here} here"
        )

    def test_every_target_resolves(self) -> None:
        broken = []
        for kind, entry in own_entries(load(self.plugin), self.plugin):
            try:
                entry.load()
            except Exception as error:  # whatever a module raises while it is imported
                broken.append(f"{kind}:{entry.name} {entry.target}: {error}")
        assert not broken, "targets that cannot be imported:\n  " + "\n  ".join(broken)

    def test_every_entry_has_a_summary(self) -> None:
        silent = [
            f"{kind}:{entry.name}"
            for kind, entry in own_entries(load(self.plugin), self.plugin)
            if not entry.summary.strip()
        ]
        assert not silent, f"`inferd plugins` would show nothing for {', '.join(silent)}: summary="

    def test_survives_being_loaded_twice(self) -> None:
        first, second = (listing(load(self.plugin), self.plugin) for _ in range(2))
        assert first, f"{self.plugin!r} registers nothing when a process has loaded it before"
        assert first == second, f"the second time {self.plugin!r} registers {second}, not {first}"

    def test_is_blocked_by_no(self) -> None:
        host = Host(Selection.parse(f"all,no:{self.plugin}"))
        kept = {entry.name for _, entry in own_entries(host, self.plugin)}
        if self.plugin in ESSENTIALS:
            assert kept, f"{self.plugin!r} is essential, yet no:{self.plugin} leaves it out"
        else:
            assert not kept, f"no:{self.plugin} still registers {', '.join(sorted(kept))}"


def load(plugin: str) -> Host:
    """A Host with this plugin and the essential ones; raises PluginError when it fails."""
    return Host(Selection.parse(f"none,{plugin}"))


def own_entries(host: Host, plugin: str) -> list[tuple[str, Entry]]:
    """(kind, entry) of everything the plugin registers."""
    catalog = host.catalog
    return [(kind, e) for kind in KINDS for e in catalog.registry(kind) if e.plugin == plugin]


def listing(host: Host, plugin: str) -> list[str]:
    return [f"{kind}:{e.name} {e.target}" for kind, e in own_entries(host, plugin)]


@functools.cache
def registry(plugin: str, kind: str) -> Registry[Any]:
    return load(plugin).catalog.registry(kind)


def implementation(plugin: str, kind: str, name: str) -> Any:
    """The class that `plugin` registers; raises PluginError, AssertionError for another's."""
    found = registry(plugin, kind)
    owner = found.entry(name).plugin
    assert owner == plugin, f"{found.kind} {name!r} is registered by {owner!r}, not {plugin!r}"
    return found.load(name)


@functools.cache
def probe(plugin: str) -> dict[str, Any]:
    """What a fresh interpreter finds: heavy modules that loading imported, and the entries."""
    command = [sys.executable, "-c", PROBE, plugin]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, f"{plugin!r} fails in a fresh process:\n{done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found
