"""Registry: names, targets, priorities, rivals, replacements and options."""

from __future__ import annotations

import pytest

from inferd.errors import PluginError
from inferd.plugin import Registry
from inferd.plugin.registry import NameTaken


class Plain:
    pass


class Choosy:
    def __init__(self, size: int, options: object = "default") -> None:
        self.size = size
        self.options = options

    @classmethod
    def from_config(cls, config: dict, options: object = "default") -> Choosy:
        return cls(config["size"], options)


HERE = __name__


def registry(**by_plugin) -> Registry:
    """Entries by plugin: a name, or (name, options of add)."""
    made = Registry("attention backend")
    for plugin, entries in by_plugin.items():
        made.owner = plugin
        for entry in entries:
            name, options = entry if isinstance(entry, tuple) else (entry, {})
            made.add(name, "json:loads", **options)
    return made


@pytest.mark.parametrize("target", ["", "json", "json:", ":loads", "json:a:b"])
def test_a_malformed_target_is_refused_by_plugin_and_name(target):
    with pytest.raises(PluginError, match=r"'core'.*'fast'.*module:attr"):
        Registry("op provider").add("fast", target)


def test_an_unknown_priority_lists_the_known_ones():
    with pytest.raises(PluginError, match="reference, portable, tuned"):
        Registry("op provider").add("fast", "json:loads", priority="best")


def test_iterates_by_falling_priority_then_name():
    found = registry(
        a=[("z", {"priority": "tuned"}), "y", "b"], c=[("a", {"priority": "reference"})]
    )
    assert [entry.name for entry in found] == ["z", "b", "y", "a"]


def test_two_plugins_with_one_name_are_both_named_with_both_cures():
    with pytest.raises(NameTaken) as caught:
        registry(awq=["w4"], marlin=["w4"])
    text = str(caught.value)
    assert "attention backend 'w4' is registered by both 'awq' and 'marlin'" in text
    assert "no:awq" in text
    assert "no:marlin" in text


def test_one_plugin_may_not_register_a_name_twice():
    with pytest.raises(PluginError, match=r"'awq' registers .* 'w4' twice"):
        registry(awq=["w4", "w4"])


@pytest.mark.parametrize("order", [("core", "fast"), ("fast", "core")])
def test_a_replacement_wins_whichever_comes_first(order):
    entries = {"core": ["sdpa"], "fast": [("sdpa", {"replaces": "sdpa"})]}
    found = registry(**{plugin: entries[plugin] for plugin in order})
    assert [(entry.name, entry.plugin) for entry in found] == [("sdpa", "fast")]


@pytest.mark.parametrize("order", [("core", "fast"), ("fast", "core")])
def test_a_replacement_may_have_another_name(order):
    entries = {"core": ["sdpa"], "fast": [("flash", {"replaces": "sdpa"})]}
    assert registry(**{plugin: entries[plugin] for plugin in order}).names == ["flash"]


def test_two_replacements_of_one_name_are_rivals():
    with pytest.raises(NameTaken, match=r"'sdpa' is replaced by both 'fast' and 'faster'"):
        registry(fast=[("a", {"replaces": "sdpa"})], faster=[("b", {"replaces": "sdpa"})])


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(PluginError, match=r"did you mean 'triton'.*flash, triton"):
        registry(a=["triton", "flash"]).load("trition")


@pytest.mark.parametrize("target", ["no_such_module:x", "json:no_such", f"{HERE}:broken"])
def test_a_target_that_does_not_resolve_names_plugin_and_target(target):
    found = Registry("command")
    found.owner = "awq"
    found.add("word", target)
    with pytest.raises(PluginError, match=f"'awq' registers 'word' as {target}"):
        found.load("word")


def __getattr__(name: str) -> object:
    if name == "broken":
        raise RuntimeError("raised on access")
    raise AttributeError(name)


def test_options_reach_what_takes_them():
    found = Registry("op provider")
    found.owner, found.options_of = "awq", {"awq": "chosen"}.get
    found.add("choosy", f"{HERE}:Choosy")
    found.add("plain", f"{HERE}:Plain")
    choosy = found.load("choosy")
    assert found.make(choosy, 3).options == "chosen"
    assert found.make(choosy, {"size": 4}, by="from_config").options == "chosen"
    assert type(found.make(found.load("plain"))).__name__ == "Plain"


def test_a_plugin_without_options_leaves_the_default():
    found = Registry("op provider")
    found.add("choosy", f"{HERE}:Choosy")
    assert found.make(found.load("choosy"), 3).options == "default"
