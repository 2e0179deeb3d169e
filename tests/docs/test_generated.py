"""Pages that are written from the code are up to date, and say what the code says."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from inferd.host.catalog import KINDS
from inferd.plugin import hookspecs

ROOT = Path(__file__).parents[2]


def test_reference_pages_are_what_the_generator_writes():
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\ntry: python docs/generate.py"


def test_every_hook_has_a_heading_with_its_signature():
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    for kind in KINDS:
        hook = getattr(hookspecs, f"inferd_register_{kind}")
        signature = str(inspect.signature(hook)).replace("'", "")
        assert f"### `inferd_register_{kind}{signature}`" in page


def test_every_hook_is_a_kind_of_the_catalog():
    hooks = {name for name in vars(hookspecs) if name.startswith("inferd_register_")}
    assert hooks == {f"inferd_register_{kind}" for kind in KINDS}
