"""What the pages tell a reader to type works, in an environment like a reader's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from environments import ROOT, Environment
from pages import blocks, matches, run_page

PAGES = ("tutorial/your-first-plugin.md", "how-to/publish-a-plugin.md")
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}


@pytest.fixture
def reader(tmp_path):
    """(an empty folder, an environment in which inferd, pip and pytest answer)."""
    environment = Environment(tmp_path / "environment")
    environment.install("-e", ROOT)
    for tool in ("pip", "pytest"):
        script = environment.bin / tool
        script.write_text(f'#!/bin/sh\nexec "{environment.bin}/python" -m {tool} "$@"\n')
        script.chmod(0o755)
    place = tmp_path / "folder"
    place.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "INFERD_"))}
    path = f"{environment.bin}{os.pathsep}{os.environ['PATH']}"
    return place, kept | OFFLINE | {"PATH": path, "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_written(reader, page):
    place, env = reader
    assert run_page(ROOT / "docs" / page, place, env) >= 6


def test_a_wrong_output_is_noticed():
    assert matches("hello\n", "hello\n")
    assert matches("a  b ...\n...\n", "a b c\nd\ne\n")
    assert matches("7 passed in ...\n", "7 passed in 0.1s\n")
    assert not matches("hello\n", "hello, world\n")
    assert not matches("hello\n", "hello\nmore\n")
    assert not matches("", "Traceback\n")


def test_links_between_pages_lead_somewhere():
    import re

    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+\.md)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_python_block_is_python():
    for page in (ROOT / "docs").rglob("*.md"):
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, str(page), "exec")
