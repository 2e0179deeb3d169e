"""What `inferd` and `inferd --help` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd.host.host import Host
    from inferd.plugin import Entry

EXAMPLES = """\
inferd: an LLM inference and serving engine

  inferd serve smollm2                    serve the OpenAI API on 127.0.0.1:8000
  inferd chat smollm2                     talk in the terminal
  inferd run smollm2 "Why is the sky blue?"
  inferd bench throughput --model smollm2
  inferd plugins                          what is installed, loaded, refused, and why

  inferd --help lists every command; inferd COMMAND --help its flags
"""
GROUPS = {
    "talk and serve": ("serve", "chat", "run", "connect"),
    "models and machine": ("models", "plan", "quantize", "doctor", "bench"),
    "set-up": ("config", "plugins", "completion"),
}
OTHERS = "from plugins"


def overview(host: Host) -> str:
    """Every command, by group."""
    lines = ["usage: inferd COMMAND ..."]
    for title, entries in _grouped(host):
        lines += ["", f"{title}:", *(f"  {entry.name:10} {entry.summary}" for entry in entries)]
    lines += [
        "",
        "inferd COMMAND --help lists its flags, inferd COMMAND --help WORD those like WORD;",
        "-v shows tracebacks",
    ]
    return "\n".join(lines) + "\n"


def _grouped(host: Host) -> Iterator[tuple[str, list[Entry]]]:
    commands = {entry.name: entry for entry in host.catalog.commands}
    for title, names in GROUPS.items():
        entries = [commands.pop(name) for name in names if name in commands]
        if entries:
            yield title, entries
    if commands:
        yield OTHERS, [commands[name] for name in sorted(commands)]
