"""Host: discovery, failures, selection in child processes, tracing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferd.errors import PluginError
from inferd.host.host import Host, discover
from inferd.host.selection import Selection
from inferd.plugin.registry import NameTaken

OPS = '"quick", "json:loads", summary="x"'
BROKEN = {
    "raises on import": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "exits on import": ("raise SystemExit(0)", "SystemExit: 0"),
    "raises a BaseException": ("raise BaseException('odd')", "BaseException: odd"),
    "has a syntax error": ("def (", "SyntaxError"),
    "raises in a hook": (
        "@hookimpl\ndef inferd_register_ops(registry):\n    raise ValueError('late')",
        "ValueError: late",
    ),
    "exits in a hook": (
        "@hookimpl\ndef inferd_register_ops(registry):\n    raise SystemExit",
        "SystemExit",
    ),
    "misspells a hook": (
        "@hookimpl\ndef inferd_register_oops(registry): ...",
        "unknown hook 'inferd_register_oops'",
    ),
    "takes a strange argument": (
        "@hookimpl\ndef inferd_register_ops(registry, more): ...",
        "more",
    ),
    "gives a malformed target": (
        "@hookimpl\ndef inferd_register_ops(registry):\n    registry.add('a', 'json')",
        "module:attr",
    ),
    "needs a newer inferd": ("INFERD_API = 99", "needs plugin API 99, this inferd offers 1"),
}


def host(words: str = "all") -> Host:
    return Host(Selection.parse(words))


def test_a_plugin_is_found_loaded_and_owns_its_entries(plugins):
    plugins.register("extra", "ops", OPS)
    found = host()
    assert found.installed["extra"].distribution == "inferd-extra"
    assert "extra" in found.loaded
    assert found.catalog.ops.entry("quick").plugin == "extra"


def test_what_is_not_selected_is_not_even_imported(plugins):
    module = plugins.register("extra", "ops", OPS)
    assert "extra" not in host("no:extra").loaded
    assert "extra" not in host("none").loaded
    assert module not in sys.modules
    assert "extra" in host("none,extra").loaded
    assert module in sys.modules


@pytest.mark.parametrize("how", BROKEN)
def test_an_unnamed_plugin_that_fails_is_reported_and_left_out(plugins, how):
    code, reason = BROKEN[how]
    plugins.add("extra", code)
    plugins.register("fine", "ops", OPS)
    found = host()
    assert reason in found.failures["extra"]
    assert "extra" not in found.loaded
    assert not [entry for entry in found.catalog.ops if entry.plugin == "extra"]
    assert "quick" in found.catalog.ops
    assert "extra" not in found.resolved


@pytest.mark.parametrize("how", BROKEN)
def test_a_named_plugin_that_fails_stops_the_start(plugins, how):
    code, reason = BROKEN[how]
    plugins.add("extra", code)
    with pytest.raises(PluginError) as caught:
        host("extra")
    assert "plugin 'extra' (inferd-extra 1.0) could not be loaded" in str(caught.value)
    assert reason in str(caught.value)
    assert "--plugins no:extra" in str(caught.value)


def test_what_a_failing_hook_registered_before_is_taken_back(plugins):
    plugins.add(
        "extra",
        """
        @hookimpl
        def inferd_register_attention(registry):
            registry.add("early", "json:loads")
        @hookimpl
        def inferd_register_ops(registry):
            registry.add("half", "json:loads")
            raise ValueError("late")
        """,
    )
    found = host()
    assert "early" not in found.catalog.attention
    assert "half" not in found.catalog.ops
    assert "torch" in found.catalog.attention


def test_a_keyboard_interrupt_is_nobodys_failure(plugins):
    plugins.add("extra", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        host()


def test_rivals_stop_the_start_even_unnamed(plugins):
    plugins.register("toyq", "quantization", '"w4", "json:loads"')
    plugins.register("marlin", "quantization", '"w4", "json:loads"')
    with pytest.raises(NameTaken, match="'w4' is registered by both 'marlin' and 'toyq'"):
        host()
    assert host("no:toyq").catalog.quantization.entry("w4").plugin == "marlin"


def test_two_distributions_with_one_plugin_name_are_both_named(plugins):
    plugins.register("toyq", "ops", OPS, dist="inferd-toyq")
    plugins.register("toyq", "ops", OPS, dist="other-toyq")
    with pytest.raises(PluginError) as caught:
        discover()
    assert "pip uninstall inferd-toyq" in str(caught.value)
    assert "pip uninstall other-toyq" in str(caught.value)


def test_a_distribution_found_twice_counts_where_it_is_imported_from(plugins):
    plugins.add("extra", "later = 1", dist="inferd-extra", place="later")
    first = plugins.add("extra2", "", dist="inferd_Extra", place="first")
    assert "extra" not in discover()
    assert discover()["extra2"].entry_point.value == first


def test_the_resolved_words_rebuild_the_same_host(plugins, monkeypatch):
    plugins.register("extra", "ops", OPS)
    plugins.register("other", "ops", '"of_other", "json:loads"')
    plugins.add("broken", "raise RuntimeError('boom')")
    monkeypatch.setenv("INFERD_PLUGINS", "none,all,no:other")
    parent = Host.from_selection("all")
    words = parent.resolved.split(",")
    assert words[0] == "none"
    assert "extra" in words
    assert not {"other", "broken", "builtin"} & set(words)
    child = Host.from_selection(parent.resolved)
    assert child.loaded == parent.loaded
    assert child.failures == {}


def test_tracing_prints_every_hook_and_what_it_added(plugins, monkeypatch, capsys):
    plugins.register("extra", "ops", OPS)
    monkeypatch.setenv("INFERD_TRACE_PLUGINS", "1")
    host()
    lines = capsys.readouterr().err.splitlines()
    assert "inferd: inferd_register_ops <- extra: quick" in lines
    assert "inferd: inferd_register_executors <- builtin: in_process" in lines


def test_the_order_of_discovery_decides_nothing(plugins, monkeypatch):
    for name in ("b", "a", "c"):
        plugins.register(name, "ops", f'"of_{name}", "json:loads"')
    names = [entry.name for entry in host().catalog.ops]
    import inferd.host.host as module

    found = list(module.distributions())
    monkeypatch.setattr(module, "distributions", lambda: found[::-1])
    assert [entry.name for entry in host().catalog.ops] == names


def test_hosts_imports_neither_torch_nor_pydantic():
    code = "import sys; from inferd.host.host import Host; Host(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("torch", "transformers", "fastapi", "pydantic"):
        assert f"'{heavy}'" not in done.stdout
