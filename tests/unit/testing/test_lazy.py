"""`import inferd.testing` is cheap, and so is the contract that compares no numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import inferd.testing


@pytest.mark.parametrize("what", ["", "from inferd.testing import PluginContract"])
def test_nothing_heavy_is_imported(what):
    code = f"import sys, inferd.testing\n{what}\nprint(*sys.modules)"
    found = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "inferd.testing" in found
    assert not {"torch", "transformers", "triton", "pytest", "hypothesis"} & set(found)


def test_every_name_resolves_and_others_do_not():
    for name in inferd.testing.__all__:
        assert getattr(inferd.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'NoSuchContract'"):
        _ = inferd.testing.NoSuchContract
