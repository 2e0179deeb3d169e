"""Settings: what an operator may choose about the HTTP surface, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inferd_server.keys import Key, read_keys

if TYPE_CHECKING:
    from inferd_server.options import ServeOptions

ANY = "*"  # as an allowed host
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Settings:
    """Immutable; made from the options of `inferd serve` by `of`."""

    model: str = "smollm2"  # as the operator named it
    served_names: tuple[str, ...] = ("smollm2",)  # the first one is what metrics are labelled with
    keys: tuple[Key, ...] = ()  # none: no authentication
    key_concurrency: int | None = None  # of each key that has none of its own
    key_per_minute: int | None = None
    allowed_hosts: tuple[str, ...] = (ANY,)  # besides addresses and localhost
    client_chat_templates: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    drain_timeout_s: float = 25.0
    keep_alive_s: float = 15.0  # silence on a stream before a comment is sent
    max_body_bytes: int = 64 << 20
    metrics_alias: str | None = None  # a further prefix of all series
    traces_endpoint: str | None = None  # None: no traces
    log_format: Literal["text", "json"] = "text"
    access_log: bool = False

    @classmethod
    def of(cls, model: str, options: ServeOptions) -> Settings:
        """Raises UsageError for a bad key or key file."""
        given = [key.get_secret_value() for key in options.api_key]
        keys = read_keys(given, options.api_key_file)
        return cls(
            model=model,
            served_names=tuple(options.served_model_name or default_names(model)),
            keys=keys,
            key_concurrency=options.key_concurrency,
            key_per_minute=options.key_requests_per_minute,
            allowed_hosts=tuple(options.allowed_host or _own_names(options.host, keys)),
            client_chat_templates=options.allow_client_chat_templates,
            host=options.host,
            port=options.port,
            drain_timeout_s=options.drain_timeout,
            metrics_alias=options.metrics_alias,
            traces_endpoint=options.otlp_traces_endpoint,
            log_format=options.log_format,
            access_log=options.access_log,
        )

    @property
    def is_open(self) -> bool:
        """Whether strangers on the network could use the server."""
        return self.host not in LOOPBACK and not self.keys


def _own_names(host: str, keys: tuple[Key, ...]) -> list[str]:
    """Without a key, a server for this machine alone answers to this machine's names alone."""
    return [host] if host in LOOPBACK and not keys else [ANY]


def default_names(model: str) -> list[str]:
    """The short name, and the full id unless that is a path of this machine."""
    full = model.removeprefix("hf:")
    path = Path(full).expanduser()
    if path.exists():
        return [path.resolve().name.removesuffix(".gguf")]
    return list(dict.fromkeys([full.rsplit("/", 1)[-1], full]))
