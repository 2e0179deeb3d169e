"""inferd plugins: list, info, why and check."""

from __future__ import annotations

import argparse
from typing import Any

from inferd.cli.output import show_rows
from inferd.contracts.command import Command
from inferd.errors import PluginError, UsageError
from inferd.host.catalog import KINDS
from inferd.host.host import Host


class PluginsCommand(Command):
    def configure(self, parser: argparse.ArgumentParser) -> None:
        words = parser.add_subparsers(dest="word", metavar="list|info|why|check|new")
        listing = words.add_parser("list", help="what is installed, loaded, refused, and why")
        info = words.add_parser("info", help="what one plugin registers")
        info.add_argument("name")
        why = words.add_parser("why", help="which implementation wins for a model, and why")
        why.add_argument("kind", choices=["attention", "loaders", "platforms", "ops"])
        why.add_argument("model", nargs="?", default="smollm2")
        check = words.add_parser("check", help="import every registered target")
        new = words.add_parser("new", help="write a publishable plugin")
        new.add_argument("kind", choices=sorted(KINDS))
        new.add_argument("name")
        for each in (parser, listing, info, why, check, new):
            each.add_argument("--plugins", action="append", help="words: all, none, NAME, no:NAME")
            each.add_argument("--json", action="store_true", help="one JSON object per line")

    def run(self, args: argparse.Namespace) -> int:
        if args.word == "new":
            from inferd.cli.plugin_new import write_plugin

            print(write_plugin(args.kind, args.name))
            return 0
        host = Host.from_selection(",".join(args.plugins or ["all"]))
        words = {None: _list, "list": _list, "info": _info, "why": _why, "check": _check}
        return words[args.word](host, args)


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
    entries = _entries(host)
    rows = []
    for name, plugin in host.installed.items():
        state = "loaded" if name in host.loaded else "not selected"
        if name in host.failures:
            state = f"failed: {host.failures[name]}"
        offers = [f"{e['kind']}:{e['name']}" for e in entries if e["plugin"] == name]
        rows.append(
            {
                "plugin": name,
                "state": state,
                "distribution": f"{plugin.distribution} {plugin.version}",
                "registers": ", ".join(offers),
            }
        )
    show_rows(rows, args.json)
    return 0


def _info(host: Host, args: argparse.Namespace) -> int:
    if args.name not in host.installed:
        raise UsageError(
            f"plugin {args.name!r} is not installed; installed: {', '.join(host.installed)}"
        )
    show_rows(_entries(host, args.name), args.json)
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

    rows = [
        {
            "fits": "yes" if c.verdict else "no",
            "name": c.entry.name,
            "priority": c.entry.priority,
            "plugin": c.entry.plugin,
            "reason": c.verdict.reason,
        }
        for c in candidates_for(host, args.kind, args.model)
    ]
    show_rows(rows, args.json)
    return 0
