"""inferd connect: the configuration with which coding agents use a server."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

from inferd.cli.connect_clients import CLIENTS, Server, Setup
from inferd.contracts.command import Command
from inferd.errors import EnvironmentProblem, UsageError

KEY = "INFERD_API_KEY"
ANSWER_S = 5.0
SHORT = 32_768  # tokens; agents' own instructions take a good part of that


class ConnectCommand(Command):
    """Prints; a file is written only with --write. The key stays in INFERD_API_KEY."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("client", choices=CLIENTS, help=", ".join(CLIENTS))
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server")
        parser.add_argument("--model", help="default: the first one that the server lists")
        parser.add_argument("--write", action="store_true", help="into the client's own place")

    def run(self, args: argparse.Namespace) -> int:
        server = _server(args.url.rstrip("/").removesuffix("/v1"), args.model)
        setup = CLIENTS[args.client](server)
        if args.write:
            write(setup)
        else:
            print(setup.text, end="")
        _say(server, setup, args.write)
        return 0


def _say(server: Server, setup: Setup, written: bool) -> None:
    """To standard error: standard output is the configuration alone."""
    place = f"wrote {setup.path}" if written else f"for {setup.path}; --write puts it there"
    lines = [place, f"then: {setup.then}"]
    if server.has_key:
        lines.append(f"the client reads the key from {KEY}")
    if server.context is not None and server.context < SHORT:
        lines.append(f"agents send long prompts, and this model has {server.context:,} tokens")
    print("\n".join(lines), file=sys.stderr)


def _server(url: str, model: str | None) -> Server:
    """What runs there. Raises EnvironmentProblem when it does not answer and no model is named."""
    key = (os.environ.get(KEY) or "").split()
    try:
        cards = _models(url, key)
    except (OSError, ValueError) as error:
        if model is not None:
            return Server(url, model, None, bool(key))
        raise EnvironmentProblem(
            f"{url} does not say which models it has: {error}\n"
            f"  start it (inferd serve MODEL), name it with --url, or name the model with --model\n"
            f"  a server with keys wants one in {KEY}"
        ) from None
    known = {card["id"]: card.get("max_model_len") for card in cards}
    chosen = model or next(iter(known))
    if chosen not in known:
        raise UsageError(f"{url} has no model {chosen!r}; it serves {', '.join(known)}")
    return Server(url, chosen, known[chosen], bool(key))


def _models(url: str, key: list[str]) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key[0]}"} if key else {}
    request = urllib.request.Request(f"{url}/v1/models", headers=headers)
    with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:
        cards: list[dict[str, Any]] = json.load(reply)["data"]
        return cards


def write(setup: Setup) -> None:
    """Raises UsageError rather than change what somebody else wrote, except to add to JSON."""
    text = setup.text
    if setup.path.exists() and not setup.is_ours:
        text = _merged(setup)
    setup.path.parent.mkdir(parents=True, exist_ok=True)
    setup.path.write_text(text, encoding="utf-8")


def _merged(setup: Setup) -> str:
    old = setup.path.read_text(encoding="utf-8")
    if old == setup.text or (setup.marker and setup.marker in old):
        return setup.text
    try:
        content = json.loads(old) if setup.path.suffix == ".json" else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UsageError(
            f"{setup.path} exists and is not inferd's to rewrite; add this to it:\n\n{setup.text}"
        )
    return json.dumps(_joined(content, json.loads(setup.text)), indent=2) + "\n"


def _joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` over `old`, object by object."""
    both = {
        key: _joined(old[key], value)
        for key, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **both}
