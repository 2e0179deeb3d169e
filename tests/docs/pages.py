"""Markdown pages that run: fenced blocks are files to write and commands whose output must match.

```toml pyproject.toml      a file, written where it stands
```console                  `$ command` and the output that follows; `...` stands for anything
```                         anything else is only shown
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    path: str | None
    text: str

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """(command, expected output) of a console block."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def links(page: Path) -> list[tuple[str, str]]:
    """(file, anchor) of every link that stays in the repository; either may be empty."""
    found = LINK.findall(page.read_text(encoding="utf-8"))
    return [(target, anchor) for target, anchor in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def run_page(page: Path, place: Path, env: dict[str, str]) -> int:
    """Write its files, run its commands; returns how many. Raises AssertionError for the first
    whose output is another."""
    count = 0
    for block in blocks(page):
        if block.path:
            target = place / block.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            for command, expected in block.commands:
                check_command(command, expected, place, env)
                count += 1
    return count


def check_command(command: str, expected: str, place: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    told = f"$ {command}\n{done.stdout}\nexit code {done.returncode}; expected:\n{expected}"
    fails = expected.startswith("inferd: ")
    assert (done.returncode != 0) == fails, told
    assert matches(expected, done.stdout), told


def matches(expected: str, output: str) -> bool:
    """Line by line, spaces counting once; `...` is any lines, or within a line any text."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            words = [".*" if word == "..." else re.escape(word) for word in line.split()]
            pattern += " +".join(words) + r" *\n"
    return re.fullmatch(pattern, output) is not None
