"""The grammar of --plugins."""

from __future__ import annotations

import pytest

from inferd.errors import PluginError
from inferd.host.selection import Selection

INSTALLED = ("awq", "builtin", "gptq", "llama", "server", "triton")
CASES = {
    "": INSTALLED,
    "all": INSTALLED,
    "none": ("builtin", "server"),
    "awq": ("awq", "builtin", "llama", "server"),
    "awq,gptq": ("awq", "builtin", "gptq", "llama", "server"),
    " awq , gptq ": ("awq", "builtin", "gptq", "llama", "server"),
    "no:triton": ("awq", "builtin", "gptq", "llama", "server"),
    "no:triton,no:awq": ("builtin", "gptq", "llama", "server"),
    "awq,no:llama": ("awq", "builtin", "server"),
    "none,awq": ("awq", "builtin", "server"),
    "all,no:awq": ("builtin", "gptq", "llama", "server", "triton"),
    "no:awq,all": INSTALLED,
    "none,all": INSTALLED,
    "no:builtin,no:server": ("awq", "builtin", "gptq", "llama", "server", "triton"),
}


@pytest.mark.parametrize("words", CASES)
def test_words_combine_left_to_right(words):
    assert tuple(sorted(Selection.parse(words).resolve(INSTALLED))) == CASES[words]


def test_only_words_that_name_a_plugin_insist_on_it():
    assert Selection.parse("all,no:awq,gptq,none").named == {"gptq"}


def test_an_unknown_plugin_lists_the_installed_and_how_to_install():
    with pytest.raises(PluginError) as caught:
        Selection.parse("awk").resolve(INSTALLED)
    text = str(caught.value)
    assert "did you mean 'awq'" in text
    assert ", ".join(INSTALLED) in text
    assert "pip install inferd-KIND-awk, as in inferd-models-awk" in text
    assert caught.value.exit_code == 2


def test_blocking_an_unknown_plugin_is_an_error_too():
    with pytest.raises(PluginError, match="'awk' is not installed"):
        Selection.parse("no:awk").resolve(INSTALLED)


@pytest.mark.parametrize("word", ["no:no:awq", "not:awq", "no:all", "no:none", "no:"])
def test_other_words_are_not_understood(word):
    with pytest.raises(PluginError, match=r"does not understand .*NAME, no:NAME"):
        Selection.parse(word).resolve(INSTALLED)
