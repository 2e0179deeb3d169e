"""Authentication of every route but the probes and the pages; no prefix of a path decides."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from inferd_server import pages
from inferd_server.caller import CALLER
from inferd_server.errors import Problem
from inferd_server.keys import Key, hash_key

OPEN_PATHS = frozenset({"/health", "/ready", "/ping", *pages.PATHS})
REFUSAL = Problem(
    401,
    "missing or wrong API key; send it as `Authorization: Bearer KEY`, `x-api-key` or `api-key`",
    "invalid_api_key",
    headers={"WWW-Authenticate": "Bearer"},
)


class Auth:
    """All keys are compared, in constant time, whichever is the one."""

    def __init__(self, app: ASGIApp, keys: Sequence[Key]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            key = self._find(_presented(scope))
            if key is None:
                await REFUSAL.response()(scope, receive, send)
                return
            CALLER.get().key = key
        await self._app(scope, receive, send)

    def _find(self, presented: list[bytes]) -> Key | None:
        found = None
        for given in map(hash_key, presented):
            for key in self._keys:
                if hmac.compare_digest(given, key.digest):
                    found = key
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
