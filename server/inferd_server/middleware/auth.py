"""Authentication of every route but the probes and the pages; no prefix of a path decides."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server import pages
from inferd_server.errors import Problem

OPEN_PATHS = frozenset({"/health", "/ready", *pages.PATHS})
REFUSAL = Problem(
    401,
    "missing or wrong API key; send it as `Authorization: Bearer KEY`, `x-api-key` or `api-key`",
    "invalid_api_key",
    headers={"WWW-Authenticate": "Bearer"},
)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Auth:
    """Keys are kept as SHA-256 digests and all of them are compared, in constant time."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            presented = [_digest(key) for key in _presented(scope)]
            if not self._known(presented):
                await REFUSAL.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _known(self, presented: list[bytes]) -> bool:
        found = False
        for given in presented:
            for known in self._digests:
                found |= hmac.compare_digest(given, known)
        return found


def _presented(scope: Scope) -> list[bytes]:
    keys = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer" and key.strip():
                keys.append(key.strip())
        elif name in (b"x-api-key", b"api-key") and value:
            keys.append(value)
    return keys[:4]
