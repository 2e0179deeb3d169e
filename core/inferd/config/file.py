"""inferd.toml: `[engine]` holds options of the engine, `[plugins.NAME]` those of a plugin."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferd.errors import UsageError

DEFAULT_FILE = Path("inferd.toml")


def read_file(path: Path | None) -> dict[str, dict[str, Any]]:
    """inferd.toml in the current directory unless `path` names another file; {} without one.

    Raises UsageError for a file that cannot be read or has another section.
    """
    path = path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        raise UsageError(f"--config {path}: {error}") from None
    stranger = _stranger(content)
    if stranger:
        raise UsageError(
            f"{path}: {stranger} is no section; known: [engine], [plugins.NAME]\n"
            '  plugins are selected by [engine] plugins = "awq,gptq"'
        )
    return content


def _stranger(content: Mapping[str, Any]) -> str | None:
    """The first thing that stands where a known section should."""
    for name, section in content.items():
        if name not in ("engine", "plugins") or not isinstance(section, dict):
            return name
    inner = content.get("plugins", {})
    return next((f"plugins.{n}" for n, value in inner.items() if not isinstance(value, dict)), None)


def chosen_words(flags: Sequence[str] | None, engine: Mapping[str, Any]) -> str | None:
    """The text of `--plugins` that counts: flags, else INFERD_PLUGINS, else [engine] plugins."""
    if flags:
        return ",".join(flags)
    words = os.environ.get("INFERD_PLUGINS", engine.get("plugins"))
    if words is not None and not isinstance(words, str):
        raise UsageError(f'[engine] plugins = {words!r}: write words, as in plugins = "awq,gptq"')
    return words
