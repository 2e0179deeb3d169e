"""inferd.toml: `[engine]` holds options of the engine, `[COMMAND]` those of a command, as
`[serve]`, and `[plugins.NAME]` those of a plugin."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from inferd.errors import UsageError

DEFAULT_FILE = Path("inferd.toml")


def file_of(path: Path | None) -> Path | None:
    """`path` if it is given, else inferd.toml in the current directory if there is one."""
    return path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def read_file(path: Path | None) -> dict[str, dict[str, Any]]:
    """Sections by name; {} without a file.

    Raises UsageError for a file that cannot be read, or in which something is no section.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
        raise UsageError(f"--config {path}: {error}") from None
    inner = content.get("plugins", {})
    for name, section in [*content.items(), *(inner.items() if isinstance(inner, dict) else ())]:
        if not isinstance(section, dict):
            raise stranger(path, f"plugins.{name}" if name in inner else name)
    return content


def stranger(path: Path | None, name: str, known: Collection[str] = ()) -> UsageError:
    """The error for a `name` that is no section."""
    sections = ["[engine]", *(f"[{each}]" for each in known if each not in ("engine", "plugins"))]
    return UsageError(
        f"{path}: {name} is no section; known: {', '.join(sections)}, [plugins.NAME]\n"
        '  plugins are selected by [engine] plugins = "awq,gptq"'
    )
