"""inferd config show: every option, its value, and where that comes from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from inferd.cli.output import show_rows
from inferd.config.base import Options
from inferd.config.engine import SECTIONS
from inferd.config.flags import SKIPPED, add_engine_flags, add_flags, command_options, engine_config
from inferd.config.sources import DEFAULT, Sources
from inferd.contracts.command import Command

if TYPE_CHECKING:
    from inferd.host.host import Host

Row = dict[str, Any]


class ConfigCommand(Command):
    """Takes every flag that a section of inferd.toml has, to show what it would change."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        host: Host = parser.plugins  # type: ignore[attr-defined] # inferd.cli.Parser has it
        self._commands = dict(_with_options(host))
        words = parser.add_subparsers(dest="word", metavar="show", required=True)
        show = words.add_parser("show", help="as inferd.toml would say it")
        show.add_argument("--origin", action="store_true", help="say where each value comes from")
        show.add_argument("--json", action="store_true", help="one JSON object per option")
        for name, model in self._commands.items():
            add_flags(show, f"{name} options", model)
        add_engine_flags(show)

    def run(self, args: argparse.Namespace) -> int:
        rows = list(self._rows(args))
        if args.json:
            show_rows(rows, as_json=True)
        else:
            print("\n".join(_toml(rows, args.origin)))
        return 0

    def _rows(self, args: argparse.Namespace) -> Iterator[Row]:
        """Raises UsageError for a value that its option refuses."""
        sources = Sources(args)
        args.selected_plugins = None  # the words, not what they select here
        engine = engine_config(args, "smollm2")
        for name in SECTIONS:
            yield from _section(sources, "engine", getattr(engine, name))
        for name, model in self._commands.items():
            yield from _section(sources, name, command_options(args, name, model))
        for plugin, model in args.option_models.items():
            given = engine.plugins.plugin_options.get(plugin, {})
            yield from _section(sources, f"plugins.{plugin}", model.model_validate(given))


def _with_options(host: Host) -> Iterator[tuple[str, type[Options]]]:
    commands = host.catalog.commands
    for name in commands.names:
        options = commands.load(name).options
        if options is not None:
            yield name, options


def _section(sources: Sources, section: str, options: Options) -> Iterator[Row]:
    skipped = SKIPPED if section == "engine" else set()
    for name, value in options.model_dump(mode="json").items():
        if name not in skipped:
            found = sources.find(section, name)
            origin = found.origin if found else DEFAULT
            yield {"section": section, "option": name, "value": value, "origin": origin}


def _toml(rows: list[Row], with_origin: bool) -> Iterator[str]:
    """Lines that inferd.toml takes. TOML has no null, and secrets are not shown: both stand in
    comments."""
    section = None
    for row in rows:
        if row["section"] != section:
            yield f"{'' if section is None else chr(10)}[{row['section']}]"
            section = row["section"]
        value, hidden = row["value"], "**********" in json.dumps(row["value"])
        text = f"{row['option']} = {json.dumps(value)}"
        if value is None:
            text = f"# {row['option']} ="
        elif hidden:
            text = f"# {row['option']} is set"
        yield f"{text:44}  # {row['origin']}" if with_origin else text
