"""What the README shows is run as it stands there, and answers what stands there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from commands import make_targets
from pages import blocks
from served import serving

ROOT = Path(__file__).parents[2]
PORT = "http://127.0.0.1:8000"
VARIES = ("id", "created")


def shown(language: str, having: str = "") -> str:
    """The one block of a language, or the one that has a word in it."""
    found = [b.text for b in blocks(ROOT / "README.md") if b.language == language]
    (text,) = [text for text in found if having in text]
    return text


@pytest.fixture
def url() -> Iterator[str]:
    with serving("smollm2", "--port", "0", "--kv-cache-memory-bytes", str(256 << 20)) as served:
        yield served.event("ready")["url"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_gets_the_answer_shown(url: str) -> None:
    command = shown("sh", "curl")
    assert PORT in command
    done = subprocess.run(
        ["bash", "-c", command.replace(PORT, url)], capture_output=True, text=True, check=True
    )
    answer, expected = json.loads(done.stdout), json.loads(shown("json"))
    assert answer.keys() == expected.keys()
    for name in answer.keys() - VARIES:
        assert answer[name] == expected[name]


def test_the_python_example_prints_what_is_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", shown("python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown("text")


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {target for _, target, _ in lines} == make_targets()
    assert all(word == "make" and about for word, _, about in lines)
