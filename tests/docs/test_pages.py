"""What the pages tell a reader to type works, in an environment like a reader's."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from commands import check, commands, make_targets, words_of
from environments import ROOT, Environment
from pages import anchors, blocks, links, matches, run_page

from inferd.config.flags import engine_config
from inferd.errors import UsageError
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.types import StepStats
from inferd_server.metrics import Metrics

FAMILY = "tutorial/a-model-family.md"
PAGES = ("tutorial/your-first-plugin.md", "how-to/publish-a-plugin.md", FAMILY)
EVERY_PAGE = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/*.md")]
SHOWN = [page for page in EVERY_PAGE if not str(page).endswith(PAGES)]
FOLDERS = "(?:core|server|plugins|bench|docs|tests)"
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


@pytest.mark.parametrize("page", [*PAGES[:-1], pytest.param(FAMILY, marks=pytest.mark.slow)])
def test_a_page_runs_as_written(reader, page):
    place, env = reader
    assert run_page(ROOT / "docs" / page, place, env) >= 4


def test_a_family_takes_fewer_than_80_lines():
    written = [block.text for block in blocks(ROOT / "docs" / FAMILY) if block.path]
    assert len(written) == 3
    assert sum(text.count("\n") for text in written) < 80


def test_a_wrong_output_is_noticed():
    assert matches("hello\n", "hello\n")
    assert matches("a  b ...\n...\n", "a b c\nd\ne\n")
    assert matches("7 passed in ...\n", "7 passed in 0.1s\n")
    assert not matches("hello\n", "hello, world\n")
    assert not matches("hello\n", "hello\nmore\n")
    assert not matches("", "Traceback\n")


def test_links_lead_somewhere():
    for page in EVERY_PAGE:
        for target, anchor in links(page):
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(found), f"{page.name} links to {target}#{anchor}"


def test_named_files_are_there():
    for page in EVERY_PAGE:
        for path in re.findall(rf"`({FOLDERS}/[\w./-]+)`", page.read_text()):
            known = (ROOT / path).exists() or (page.parent / path).exists()
            assert known, f"{page.name} names {path}"


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_only_shown_are_possible(page):
    host, targets = Host(Selection.parse("none,llama")), make_targets()
    for words in commands(page):
        check(words, targets, host)


def test_methods_shown_with_their_file_stand_in_it():
    shown = [block for page in SHOWN for block in blocks(page) if block.path]
    assert shown
    for block in shown:
        assert textwrap.indent(block.text, "    ") in (ROOT / block.path).read_text()


def test_the_config_file_shown_is_one(tmp_path):
    (block,) = [b for b in blocks(ROOT / "docs/how-to/serve.md") if b.language == "toml"]
    file = tmp_path / "inferd.toml"
    file.write_text(block.text)
    assert engine_config(Namespace(config=file), "smollm2").scheduler.max_num_seqs == 64


def test_metrics_named_are_all_there_are():
    engine = SimpleNamespace(stats=StepStats(), num_unfinished=0, alive=False)
    text = Metrics(engine, "model").exposition().decode()
    found = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    named = set(re.findall(r"`(inferd_\w+)`", (ROOT / "docs/how-to/serve.md").read_text()))
    assert named == {name for name in found if not name.endswith("_created")}


def test_an_impossible_command_is_noticed():
    host = Host(Selection.parse("none"))
    for line in ("inferd sevre smollm2", "make tset", "python bench/parity.py --promts 8"):
        with pytest.raises(AssertionError):
            check(words_of(line), {"test"}, host)
    with pytest.raises(UsageError, match="did you mean --port"):
        check(words_of("A=1 inferd serve smollm2 --prot 1 | cat"), {"test"}, host)


def test_every_python_block_is_python():
    for page in EVERY_PAGE:
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, str(page), "exec")
