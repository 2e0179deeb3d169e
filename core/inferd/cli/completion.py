"""inferd completion: scripts for shells, and the candidates that those ask for."""

from __future__ import annotations

import argparse
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from inferd.cli.parser import Parser
from inferd.contracts.command import Command

if TYPE_CHECKING:
    from inferd.host.host import Host

SHELLS = ("bash", "zsh", "fish")


class CompletionCommand(Command):
    """A shell without candidates completes names of files."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        self._host: Host = parser.plugins  # type: ignore[attr-defined] # inferd.cli.Parser has it
        inner = parser.add_subparsers(dest="word", required=True, metavar="|".join(SHELLS))
        for shell in SHELLS:
            inner.add_parser(shell, help=f"print a script for {shell}, which says how to use it")
        asked = inner.add_parser("candidates", help="what may stand next; the scripts ask this")
        asked.add_argument("words", nargs="*", help="after --: what was typed, the last unfinished")

    def run(self, args: argparse.Namespace) -> int:
        if args.word == "candidates":
            for word in candidates(self._host, args.words):
                print(word)
        else:
            script = files("inferd.cli") / "completions" / f"{args.word}.txt"
            print(script.read_text(encoding="utf-8"), end="")
        return 0


def candidates(host: Host, words: list[str]) -> list[str]:
    """What may stand in the place of the last word; none where only the user knows."""
    *before, typed = words or [""]
    if before and before[0] in host.catalog.commands:
        found = _within(_parser(host, before[0]), before[1:], typed)
    else:
        found = [] if before else [*host.catalog.commands.names, "--help", "--version"]
    return sorted(word for word in found if word.startswith(typed))


def _parser(host: Host, name: str) -> Parser:
    parser = Parser(f"inferd {name}", plugins=host)
    host.catalog.commands.load(name)().configure(parser)
    return parser


def _within(parser: argparse.ArgumentParser, before: list[str], typed: str) -> list[str]:
    """After `before`, which begins with words that choose inner parsers."""
    inner = _inner(parser)
    chosen = next((word for word in before if word in inner), None)
    if chosen is not None:
        return _within(inner[chosen], before[before.index(chosen) + 1 :], typed)
    options = {name: each for each in parser._actions for name in each.option_strings}
    pending = options.get(before[-1]) if before else None
    if pending is not None and pending.nargs != 0:
        return _values(parser, pending)
    if typed.startswith("-"):
        return list(options)
    places = [each for each in parser._actions if not each.option_strings]
    return [word for place in places for word in _values(parser, place)]


def _inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next(
        (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {}
    )


def _values(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """Of a flag or a positional argument, as far as they are known."""
    host: Any = getattr(parser, "plugins", None)
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.dest == "model":
        from inferd.loading.sources import ALIASES

        return list(ALIASES)
    if action.dest == "plugins" and host is not None:
        return ["all", "none", *host.installed]
    return []
