"""inferd models: list, pull and show."""

from __future__ import annotations

import argparse
from typing import Any

from inferd.cli.output import show_rows
from inferd.contracts.command import Command
from inferd.errors import UsageError


class ModelsCommand(Command):
    def configure(self, parser: argparse.ArgumentParser) -> None:
        words = parser.add_subparsers(dest="word", metavar="list|pull|show")
        listing = words.add_parser("list", help="aliases, and what is in the cache")
        pull = words.add_parser("pull", help="fetch a model into the cache")
        pull.add_argument("model")
        show = words.add_parser("show", help="a model's configuration")
        show.add_argument("model")
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
            "cached": str(cached.get(name, "no")),
            "summary": known.summary,
        }
        for name, known in ALIASES.items()
    ]
    show_rows(rows, args.json)


def _pull(args: argparse.Namespace) -> None:
    from inferd.loading.sources import resolve

    path = resolve(args.model)
    show_rows([{"model": args.model, "path": str(path)}], args.json)


def _show(args: argparse.Namespace) -> None:
    from inferd.loading.sources import resolve
    from inferd.loading.tokenizer_files import gguf_header, read_generation

    path = resolve(args.model)
    if path.suffix == ".gguf":
        from inferd.loading.gguf_names import hf_config

        header = gguf_header(path)
        embedding = header.tensors.get("token_embd.weight")
        if embedding is None:
            raise UsageError(f"{path} holds no token embedding; it is not a language model")
        tied = "output.weight" not in header.tensors
        config: dict[str, Any] = hf_config(header.metadata, embedding.shape[0], tied)
    else:
        from inferd.loading.mapped import read_json

        config = read_json(path / "config.json")
    rows = [{"key": key, "value": value} for key, value in {**config, "path": str(path)}.items()]
    show_rows([*rows, {"key": "generation", "value": read_generation(path)}], args.json)
