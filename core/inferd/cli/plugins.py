"""inferd plugins: list, info, why, check and new."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from inferd.cli.output import show_rows
from inferd.contracts.command import Command
from inferd.errors import PluginError, UsageError
from inferd.host.catalog import KINDS
from inferd.host.host import Host, Installed


class PluginsCommand(Command):
    """Needs no model and imports no implementation, except for `why` and `check`."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        self._host: Host = getattr(parser, "plugins", None) or Host()
        words = parser.add_subparsers(dest="word", metavar="list|info|why|check|new")
        listing = words.add_parser("list", help="what is installed, loaded, refused, and why")
        info = words.add_parser("info", help="what one plugin registers, and its options")
        info.add_argument("name")
        why = words.add_parser("why", help="which implementation wins for a model, and why")
        why.add_argument("kind", help="attention, ops, platforms, loaders, models, ...")
        why.add_argument("model", nargs="?", default="smollm2")
        check = words.add_parser("check", help="import every registered target")
        new = words.add_parser("new", help="write a publishable plugin")
        new.add_argument("kind", help="attention, models, quantization, ...")
        new.add_argument("name", help="what users select it by: lower case letters and digits")
        new.add_argument(
            "--into", type=Path, default=Path(), metavar="DIR", help="default: the current one"
        )
        for each in (parser, listing, info, why, check, new):
            _add_common(each, top=each is parser)

    def run(self, args: argparse.Namespace) -> int:
        if args.word == "new":
            return _new(args)
        words = {None: _list, "list": _list, "info": _info, "why": _why, "check": _check}
        return words[args.word](self._host, args)


def _add_common(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Accepted before and after the inner word; there, what was said before must survive."""
    default: Any = None if top else argparse.SUPPRESS
    parser.add_argument(
        "--plugins", action="append", default=default, help="words: all, none, NAME, no:NAME"
    )
    parser.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="default: inferd.toml"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="one JSON object per line",
    )


def _new(args: argparse.Namespace) -> int:
    from inferd.cli.plugin_new import write_plugin

    print(write_plugin(args.kind, args.name, args.into))
    return 0


def _entries(host: Host, plugin: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "name": entry.name,
            "plugin": entry.plugin,
            "priority": entry.priority,
            "summary": entry.summary,
            "target": entry.target,
        }
        for kind in KINDS
        for entry in host.catalog.registry(kind)
        if plugin in (None, entry.plugin)
    ]


def _list(host: Host, args: argparse.Namespace) -> int:
    rows = [_row(host, plugin) for plugin in host.installed.values()]
    if not args.json:
        rows = [{**row, "registers": row["reason"] or _by_kind(row["registers"])} for row in rows]
        for row in rows:
            del row["reason"]
    show_rows(rows, args.json)
    return 0


def _row(host: Host, plugin: Installed) -> dict[str, Any]:
    failed = host.failures.get(plugin.name, "")
    state = "loaded" if plugin.name in host.loaded else "not selected"
    return {
        "plugin": plugin.name,
        "state": "failed" if failed else state,
        "distribution": f"{plugin.distribution} {plugin.version}",
        "registers": [f"{e['kind']}:{e['name']}" for e in _entries(host, plugin.name)],
        "reason": failed,
    }


def _by_kind(offers: list[str]) -> str:
    names: dict[str, list[str]] = {}
    for offer in offers:
        kind, _, name = offer.partition(":")
        names.setdefault(kind, []).append(name)
    return "; ".join(f"{kind}: {', '.join(each)}" for kind, each in names.items())


def _info(host: Host, args: argparse.Namespace) -> int:
    if args.name not in host.installed:
        raise UsageError(
            f"plugin {args.name!r} is not installed; installed: {', '.join(host.installed)}"
        )
    model = host.option_model(args.name) if args.name in host.loaded else None
    options = [
        {
            "kind": "option",
            "name": f"--{args.name}.{name.replace('_', '-')}",
            "plugin": args.name,
            "priority": "",
            "summary": f"{field.description or ''} (default: {field.default})",
            "target": "",
        }
        for name, field in (model.model_fields.items() if model else ())
    ]
    show_rows([*_entries(host, args.name), *options], args.json)
    return 0


def _check(host: Host, args: argparse.Namespace) -> int:
    rows, broken = [], 0
    for row in _entries(host):
        try:
            host.catalog.registry(row["kind"]).load(row["name"])
            row["state"] = "ok"
        except PluginError as error:
            row["state"] = str(error)
            broken += 1
        rows.append({key: row[key] for key in ("kind", "name", "plugin", "state")})
    show_rows(rows, args.json)
    return 2 if broken else 0


def _why(host: Host, args: argparse.Namespace) -> int:
    from inferd.runner.explain import candidates_for

    found = candidates_for(host, args.kind, args.model)
    rows = [
        {
            "name": c.entry.name,
            "fits": "yes" if c.verdict else "no",
            "priority": c.entry.priority,
            "plugin": c.entry.plugin,
            "reason": c.verdict.reason,
        }
        for c in found
    ]
    show_rows(rows, args.json)
    return 0
