"""Commands that pages show without output: they are not run, but they must be possible."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from pages import blocks

from inferd.cli import Parser
from inferd.host.host import Host

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
ASSIGNMENT = re.compile(r"[A-Z_]+=")
ENDS = {"|", ">", ">>", "<", "&", "&&", ";", "2"}  # of a command's own words
ROOT = Path(__file__).parents[2]


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every command in a shell block or in backticks."""
    text = page.read_text(encoding="utf-8")
    lines = [span.group(1) for span in SPAN.finditer(FENCE.sub("", text))]
    for block in blocks(page):
        if block.language == "sh":
            lines += block.text.replace("\\\n", " ").splitlines()
        elif block.language == "console":
            lines += [command for command, _ in block.commands]
    for line in lines:
        if re.match(r"([A-Z_]+=\S+ )*(inferd|make|python) ", line):
            yield words_of(line)


def words_of(line: str) -> list[str]:
    """The first command of a line, without variables set for it and without a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in ENDS:
            break
        if words or not ASSIGNMENT.match(word):
            words.append(word)
    return words


def check(words: list[str], targets: set[str], host: Host) -> None:
    """Raises AssertionError, or UsageError with the parser's complaint."""
    tool, *rest = words
    if tool == "make":
        named = {word for word in rest if "=" not in word}
        assert named <= targets, f"{shlex.join(words)}: no such target"
    elif tool == "inferd" and not rest[0].startswith("-"):
        assert rest[0] in host.catalog.commands, f"{shlex.join(words)}: no such command"
        parser = Parser(f"inferd {rest[0]}", plugins=host)
        host.catalog.commands.load(rest[0])().configure(parser)
        parser.parse_args(rest[1:])
    elif tool == "python":
        check_script(rest)


def check_script(words: list[str]) -> None:
    """The file is there, and the flags stand in it."""
    source = module_file(words[1]) if words[0] == "-m" else ROOT / words[0]
    assert source.is_file(), f"python {shlex.join(words)}: there is no {source}"
    text = source.read_text(encoding="utf-8")
    for word in words[1:]:
        assert not word.startswith("--") or f'"{word}"' in text, f"{source.name}: no {word}"


def module_file(name: str) -> Path:
    if name.startswith("bench."):
        return ROOT / f"{name.replace('.', '/')}.py"
    spec = find_spec(f"{name}.__main__") or find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def make_targets() -> set[str]:
    """Those that the Makefile declares as no files."""
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(phony.split())
