"""Settings: what an operator may choose about the HTTP surface, and its bounds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inferd.errors import UsageError

if TYPE_CHECKING:
    from inferd_server.options import ServeOptions

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Settings:
    """Immutable; made from the options of `inferd serve` by `of`."""

    model: str = "smollm2"  # as the operator named it
    served_names: tuple[str, ...] = ("smollm2",)  # the first one is what metrics are labelled with
    api_keys: tuple[str, ...] = field(default=(), repr=False)  # none: no authentication
    host: str = "127.0.0.1"
    port: int = 8000
    drain_timeout_s: float = 25.0
    keep_alive_s: float = 15.0  # silence on a stream before a comment is sent
    max_body_bytes: int = 64 << 20

    @classmethod
    def of(cls, model: str, options: ServeOptions) -> Settings:
        """Raises UsageError for a bad key file."""
        given = [key.get_secret_value() for key in options.api_key]
        return cls(
            model=model,
            served_names=tuple(options.served_model_name or default_names(model)),
            api_keys=_keys(given, options.api_key_file),
            host=options.host,
            port=options.port,
            drain_timeout_s=options.drain_timeout,
        )

    @property
    def is_open(self) -> bool:
        """Whether strangers on the network could use the server."""
        return self.host not in LOOPBACK and not self.api_keys


def default_names(model: str) -> list[str]:
    """The short name, and the full id unless that is a path of this machine."""
    full = model.removeprefix("hf:")
    path = Path(full).expanduser()
    if path.exists():
        return [path.resolve().name.removesuffix(".gguf")]
    return list(dict.fromkeys([full.rsplit("/", 1)[-1], full]))


def _keys(given: list[str], file: Path | None) -> tuple[str, ...]:
    set_here = os.environ.get("INFERD_API_KEY", "").split()
    keys = [*given, *set_here, *(_read_keys(file) if file else ())]
    return tuple(dict.fromkeys(key.strip() for key in keys if key.strip()))


def _read_keys(file: Path) -> list[str]:
    try:
        keys = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--api-key-file {file}: {error}") from None
    if not keys:
        raise UsageError(f"--api-key-file {file} holds no key; write one key a line")
    return keys
