"""Where an option gets its value from.

The first of these, else its default:

    option of         flag              environment                 inferd.toml
    the engine        --max-num-seqs    INFERD_MAX_NUM_SEQS         [engine] max_num_seqs
    the command serve --port            INFERD_SERVE__PORT          [serve] port
    the plugin awq    --awq.bits        INFERD_AWQ__BITS            [plugins.awq] bits

A command's variables have its name in them because Kubernetes sets INFERD_PORT and the like for a
service that is called inferd.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferd.config.file import file_of, read_file
from inferd.errors import UsageError

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose, and where: a flag, a variable, or a section of a file."""

    value: Any
    origin: str


class Sources:
    """What flags, environment and file say. Raises UsageError for a file that cannot be read."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._flags: dict[str, Any] = vars(args)
        self.path: Path | None = file_of(self._flags.get("config"))
        self.content: dict[str, dict[str, Any]] = read_file(self.path)

    def section(self, name: str) -> dict[str, Any]:
        """Of the file, by its header without brackets; empty where there is none."""
        found: dict[str, Any] = self.content
        for word in name.split(".", 1):
            found = found.get(word, {})
        return found

    def find(self, section: str, name: str) -> Choice | None:
        """The choice that counts, or None."""
        dest, variable = _names(section, name)
        if (value := self._flags.get(dest)) is not None:
            return Choice(value, f"--{dest.replace('_', '-')}")
        if variable in os.environ:
            return Choice(os.environ[variable], variable)
        table = self.section(section)
        return Choice(table[name], f"[{section}] in {self.path}") if name in table else None

    def plugin_words(self) -> Choice | None:
        """The text of --plugins that counts. Raises UsageError for one that is no text."""
        found = self.find("engine", "plugins")
        if found is None or isinstance(found.value, str):
            return found
        if found.origin == "--plugins":
            return Choice(",".join(found.value), found.origin)
        raise UsageError(
            f'[engine] plugins = {found.value!r}: write words, as in plugins = "awq,gptq"'
        )


def _names(section: str, name: str) -> tuple[str, str]:
    """(key among the parsed flags, environment variable) of an option."""
    owner = section.removeprefix("plugins.")
    scoped = name if section == "engine" else f"{owner}__{name}"
    dest = f"{owner}.{name}" if owner != section else name
    return dest, f"INFERD_{scoped}".upper().replace("-", "_")
