"""The command line. Words come from the `commands` hook; only the chosen one is imported."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferd import __version__
from inferd.cli import overview
from inferd.cli.parser import Parser, did_you_mean
from inferd.errors import InferdError, UsageError

if TYPE_CHECKING:
    from inferd.config.sources import Sources
    from inferd.host.host import Host

__all__ = ["Parser", "main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command; every expected failure is one screen of text and an exit code."""
    words = sys.argv[1:] if argv is None else argv
    verbose = "-v" in words
    try:
        return _dispatch([word for word in words if word != "-v"])
    except InferdError as error:
        if verbose:
            raise
        print(f"inferd: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _dispatch(words: list[str]) -> int:
    if not words:
        print(overview.EXAMPLES, end="")
        return 0
    if words[0] in ("--version", "-V"):
        print(f"inferd {__version__}")
        return 0
    host = _host(words)
    if words[0] in ("--help", "-h", "help"):
        print(overview.overview(host), end="")
        return 0
    return _run_command(host, words)


def _host(words: list[str]) -> Host:
    """--plugins decides which commands there are, so it is read before the command's own flags."""
    from inferd.config.sources import Sources
    from inferd.host.host import Host
    from inferd.host.selection import Selection

    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scout.add_argument("--plugins", action="append")
    scout.add_argument("--config", type=Path)
    try:
        found, _ = scout.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError(str(error)) from None
    sources = Sources(found)
    words_chosen = sources.plugin_words()
    selection = Selection.parse(words_chosen.value if words_chosen else "all")
    host = Host(selection, sources.section("plugins"))
    _check_sections(host, sources)
    for name, reason in host.failures.items():
        print(f"inferd: plugin {name!r} is left out, it failed: {reason}", file=sys.stderr)
    return host


def _check_sections(host: Host, sources: Sources) -> None:
    """Raises UsageError for one that is neither the engine's, the plugins' nor a command's."""
    commands = host.catalog.commands
    for name in sources.content.keys() - {"engine", "plugins"}:
        if name not in commands or commands.load(name).options is None:
            from inferd.config.file import stranger

            known = [word for word in commands.names if commands.load(word).options]
            raise stranger(sources.path, name, known)


def _run_command(host: Host, words: list[str]) -> int:
    name = words[0]
    if name not in host.catalog.commands:
        hint = did_you_mean(name, host.catalog.commands.names)
        raise UsageError(
            f"there is no command {name!r}{hint}\n"
            f"  commands: {', '.join(host.catalog.commands.names)}"
        )
    command = host.catalog.commands.load(name)()
    parser = Parser(f"inferd {name}", plugins=host)
    command.configure(parser)
    return command.run(parser.parse_args(words[1:]))
