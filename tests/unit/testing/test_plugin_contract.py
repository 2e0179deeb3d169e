"""PluginContract over distributions planted on the path: what it lets pass and what it catches."""

from __future__ import annotations

import importlib
import sys

import pytest

from inferd.testing import PluginContract

CHECKS = [name for name in dir(PluginContract) if name.startswith("test_")]
GOOD = """
from inferd.plugin import hookimpl

@hookimpl
def inferd_register_models(registry):
    registry.add("TinyForCausalLM", "{module}_impl:Tiny", summary="a tiny one")
"""


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Installs a plugin with this plugin.py and returns its contract."""

    def plant(name, source, impl="class Tiny: ..."):
        module = f"planted_{name}"
        (tmp_path / f"{module}.py").write_text(source.replace("{module}", module))
        (tmp_path / f"{module}_impl.py").write_text(impl)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[inferd]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return type("Planted", (PluginContract,), {"plugin": name})()

    yield plant
    for module in [name for name in sys.modules if name.startswith("planted_")]:
        del sys.modules[module]


def run(contract):
    """Message by check that fails."""
    found = {}
    for name in CHECKS:
        try:
            getattr(contract, name)()
        except Exception as error:
            found[name] = str(error)
    return found


def test_a_sound_plugin_passes(plant):
    assert not run(plant("sound", GOOD))


def test_one_that_is_not_installed_is_not_discovered():
    contract = type("Absent", (PluginContract,), {"plugin": "no_such_plugin"})()
    assert run(contract).keys() == set(CHECKS)


@pytest.mark.parametrize("heavy", ["torch", "transformers"])
def test_a_heavy_import_is_caught_in_a_fresh_process(plant, heavy):
    found = run(plant(f"heavy_{heavy}", f"import {heavy}\n{GOOD}"))
    assert found.keys() == {"test_loads_in_a_fresh_process_without_heavy_imports"}
    assert f"imported {'torch' if heavy == 'torch' else heavy}" in next(iter(found.values()))


def test_registering_nothing_is_caught(plant):
    found = run(plant("silent", "x = 1"))
    assert "registers nothing" in found["test_registers_something"]


def test_a_target_that_is_not_there_is_caught(plant):
    found = run(plant("gone", GOOD, impl="class Other: ..."))
    assert found.keys() == {"test_every_target_resolves"}
    assert "planted_gone_impl:Tiny" in found["test_every_target_resolves"]


def test_a_target_that_raises_anything_is_caught(plant):
    found = run(plant("raises", GOOD, impl="raise RuntimeError('no device')"))
    assert "no device" in found["test_every_target_resolves"]


def test_a_missing_summary_is_caught(plant):
    found = run(plant("mute", GOOD.replace('summary="a tiny one"', 'summary=" "')))
    assert found.keys() == {"test_every_entry_has_a_summary"}


def test_one_that_loads_only_once_is_caught(plant):
    counting = "    globals()['n'] = globals().get('n', 0) + 1\n    n < 2 and registry.add"
    once = GOOD.replace("    registry.add", counting)
    assert "test_survives_being_loaded_twice" in run(plant("once", once))


def test_what_depends_on_the_process_is_caught(plant):
    """It registers another name where pytest is loaded."""
    source = "import sys\n" + GOOD.replace(
        '"TinyForCausalLM"', '"A" if "pytest" in sys.modules else "B"'
    )
    found = run(plant("two_faced", source))
    assert found.keys() == {"test_loads_in_a_fresh_process_without_heavy_imports"}


def test_one_that_no_cannot_block_is_caught(plant, monkeypatch):
    from inferd.host.selection import Selection

    monkeypatch.setattr(Selection, "resolve", lambda self, installed: frozenset(installed))
    assert "test_is_blocked_by_no" in run(plant("unblocked", GOOD))
