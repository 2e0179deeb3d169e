"""What each client wants to be told, as its documentation has it in November 2026."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "# written by inferd connect"


@dataclass(frozen=True, slots=True)
class Server:
    url: str  # without /v1
    model: str
    context: int | None  # tokens, if it is known
    has_key: bool


@dataclass(frozen=True, slots=True)
class Setup:
    """A file for one client."""

    path: Path
    text: str
    then: str  # what the user does next
    is_ours: bool  # its name is inferd's: nothing else is kept in it
    marker: str = ""  # by which a whole file is known as written by inferd


def codex(server: Server) -> Setup:
    """A profile, which Codex since 0.134 reads from a file of its own."""
    lines = [
        f"model = {json.dumps(server.model)}",
        'model_provider = "inferd"',
        *([f"model_context_window = {server.context}"] if server.context else []),
        "",
        "[model_providers.inferd]",
        'name = "inferd"',
        f"base_url = {json.dumps(server.url + '/v1')}",
        'wire_api = "responses"',
        *(['env_key = "INFERD_API_KEY"'] if server.has_key else []),
    ]
    home = _folder("CODEX_HOME", ".codex")
    text = "\n".join(lines) + "\n"
    return Setup(home / "inferd.config.toml", text, "codex --profile inferd", is_ours=True)


def claude(server: Server) -> Setup:
    """Settings in a file of their own, so that other sessions stay as they are."""
    tiers = (
        "ANTHROPIC_MODEL",
        *(f"ANTHROPIC_DEFAULT_{t}_MODEL" for t in ("OPUS", "SONNET", "HAIKU")),
    )
    settings: dict[str, Any] = {
        "env": {
            "ANTHROPIC_BASE_URL": server.url,
            **dict.fromkeys(tiers, server.model),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
    }
    if server.has_key:
        settings["apiKeyHelper"] = "printenv INFERD_API_KEY"
    else:
        settings["env"]["ANTHROPIC_AUTH_TOKEN"] = "none"
    path = _folder("CLAUDE_CONFIG_DIR", ".claude") / "inferd.settings.json"
    return Setup(path, _json(settings), f"claude --settings {path}", is_ours=True)


def opencode(server: Server) -> Setup:
    """A provider of opencode 2 among others."""
    provider = {
        "name": "inferd",
        **({"env": ["INFERD_API_KEY"]} if server.has_key else {}),
        "package": "@opencode/ai/providers/openai-compatible",
        "settings": {"baseURL": f"{server.url}/v1"},
        "models": {server.model: {"name": server.model}},
    }
    settings = {"$schema": "https://opencode.ai/config.json", "providers": {"inferd": provider}}
    path = _folder("XDG_CONFIG_HOME", ".config") / "opencode" / "opencode.json"
    then = f"opencode, then /models and inferd/{server.model}"
    return Setup(path, _json(settings), then, is_ours=False)


def continue_(server: Server) -> Setup:
    """A whole config.yaml, with the model in every role but that of embeddings."""
    lines = [
        MARKER,
        "name: inferd",
        "version: 1.0.0",
        "schema: v1",
        "models:",
        f"  - name: {json.dumps(server.model)}",
        "    provider: openai",
        f"    model: {json.dumps(server.model)}",
        f"    apiBase: {json.dumps(server.url + '/v1')}",
        *(["    apiKey: ${{ secrets.INFERD_API_KEY }}"] if server.has_key else []),
        "    roles: [chat, edit, apply, autocomplete]",
    ]
    path = Path.home() / ".continue" / "config.yaml"
    then = "open Continue in the editor"
    if server.has_key:
        then = f"put the line INFERD_API_KEY=... into {path.parent / '.env'} and {then}"
    return Setup(path, "\n".join(lines) + "\n", then, is_ours=False, marker=MARKER)


def _folder(variable: str, default: str) -> Path:
    given = os.environ.get(variable)
    return Path(given).expanduser() if given else Path.home() / default


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


CLIENTS: dict[str, Callable[[Server], Setup]] = {
    "codex": codex,
    "claude": claude,
    "opencode": opencode,
    "continue": continue_,
}
