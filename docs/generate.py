"""Writes docs/reference/hooks.md, cli.md, http.md and models.md from the code.

python docs/generate.py [--check]      --check: exit 1 when a page is not what would be written
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from http_page import http_page
from models_page import models_page

from inferd.cli import Parser
from inferd.cli.plugin_kinds import WRITTEN
from inferd.config.engine import SECTIONS
from inferd.config.flags import add_engine_flags
from inferd.host.host import Host
from inferd.host.selection import DEFAULTS, Selection
from inferd.plugin import API, hookspecs

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- written by docs/generate.py; change the code and run it again -->\n\n"
BANNER = re.compile(r"^# -+ (.+)$")


def hooks_page() -> str:
    lines = [
        "# Hooks",
        "",
        f"Every kind of thing that a plugin can add; plugin API {API}. Each hook is called once",
        "per process, before anything is imported. [Plugins](plugins.md) says what a plugin",
        "consists of, `inferd plugins new KIND NAME` writes one.",
    ]
    for section, hook in _hooks():
        if section:
            lines += ["", f"## {section.capitalize()}"]
        lines += ["", *_hook_lines(hook)]
    return "\n".join(lines) + "\n"


def _hooks() -> Iterator[tuple[str, FunctionType]]:
    """(title of the section that begins with it, hook), in the order of the source."""
    section = ""
    for line in inspect.getsource(hookspecs).splitlines():
        if found := BANNER.match(line):
            section = found[1]
        if found := re.match(r"def (inferd_register_\w+)", line):
            yield section, getattr(hookspecs, found[1])
            section = ""


def _hook_lines(hook: FunctionType) -> list[str]:
    kind = hook.__name__.removeprefix("inferd_register_")
    lines = [f"### `{hook.__name__}{signature(hook)}`", "", inspect.cleandoc(hook.__doc__ or "")]
    if kind not in WRITTEN:
        return lines
    module, _, name = WRITTEN[kind].contract.partition(":")
    if name != "Any":
        contract = getattr(import_module(module), name)
        about = inspect.cleandoc(contract.__doc__ or "").partition("\n\n")[0]
        lines += ["", f"A target implements `{module}.{name}`. {about}".replace("\n", " "), ""]
        lines += [_member_line(contract, member) for member in sorted(contract.__abstractmethods__)]
    return [*lines, "", f"Start with `inferd plugins new {kind} NAME`."]


def _member_line(contract: type, member: str) -> str:
    about = inspect.cleandoc(getattr(contract, member).__doc__ or "").partition("\n\n")[0]
    about = about.replace("\n", " ") if member != "__init__" or "__init__" in vars(contract) else ""
    return f"- `{member}`: {about}" if about else f"- `{member}`"


def signature(hook: FunctionType) -> str:
    """As in the source: annotations are text."""
    return str(inspect.signature(hook)).replace("'", "")


def cli_page() -> str:
    host = Host(Selection.parse(",".join(["none", *sorted(DEFAULTS)])))
    lines = [
        "# Command line",
        "",
        "Options of the engine can also be set as `INFERD_<NAME>` and in the section `[engine]` of",
        "`inferd.toml`, server options as `INFERD_SERVE__<NAME>` and in `[serve]`;",
        "`inferd config show --origin` says where values come from.",
        "",
        "Exit codes: 2 usage, 3 environment, 4 does not fit, 5 unusable model.",
    ]
    for name in host.catalog.commands.names:
        entry = host.catalog.commands.entry(name)
        parser = Parser(f"inferd {name}", plugins=host)
        host.catalog.commands.load(name)().configure(parser)
        lines += ["", f"## inferd {name}", "", _sentence(entry.summary)]
        lines += _parser_lines(parser)
    engine = Parser("inferd", plugins=host, add_help=False)
    add_engine_flags(engine)
    lines += ["", "## Options of the engine", *_parser_lines(engine, everything=True)]
    return "\n".join(lines) + "\n"


def _parser_lines(parser: argparse.ArgumentParser, *, everything: bool = False) -> list[str]:
    """Tables of flags by group; without `everything` those of the engine are only mentioned."""
    lines: list[str] = []
    engine = {f"{section} options" for section in SECTIONS}
    inner: dict[str, argparse.ArgumentParser] = {}
    if not everything and engine & {group.title for group in parser._action_groups}:
        lines += ["", "Takes the [options of the engine](#options-of-the-engine) too."]
    for group in parser._action_groups:
        of_plugin = str(group.title).startswith("options of the plugin ")
        if (group.title in engine or of_plugin) and not everything:
            continue
        rows = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                inner = action.choices
            elif action.dest != "help":
                rows.append(f"| {_invocation(action)} | {_help(parser, action)} |")
        if rows:
            lines += ["", f"| {group.title} | |", "| --- | --- |", *rows]
    for each in inner.values():
        lines += ["", f"### {each.prog}", *_parser_lines(each)]
    return lines


def _invocation(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    if not names:
        return f"`{action.metavar or action.dest}`"
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return names
    value = action.metavar or action.dest.upper()
    if action.choices:
        value = ", ".join(map(str, action.choices))
    return f"{names} {value}"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text: Any = parser._get_formatter()._expand_help(action) if action.help else ""
    return str(text).replace("|", "\\|").replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


PAGES = {
    "hooks.md": hooks_page,
    "cli.md": cli_page,
    "http.md": http_page,
    "models.md": models_page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, write in PAGES.items():
        path, text = REFERENCE / name, NOTE + write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'wrote'}: {', '.join(stale)}", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
