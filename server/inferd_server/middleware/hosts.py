"""Whom a request may be addressed to. A page of another site whose name is made to point at this
machine (DNS rebinding) would otherwise use a server that only this machine reaches.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server.errors import Problem


class Hosts:
    """Addresses pass, and so does localhost; of other names only those in `allowed`."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"")
            name = _name(host.decode("latin-1"))
            if not (name in self._allowed or _is_here(name)):
                await _refusal(name).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """Without the port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def _is_here(name: str) -> bool:
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(name: str) -> Problem:
    shown = name if len(name) <= 64 and name.isascii() and name.isprintable() else "(not shown)"
    return Problem(
        403,
        f"this server does not answer to the host {shown}; where that is right, start it with "
        f"--allowed-host {shown}",
        "host_not_allowed",
    )
