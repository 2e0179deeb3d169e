"""Notes: what a request holds that has no effect, told in a header, and once in the log."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from inferd_server.protocol.base import Body

log = logging.getLogger("inferd.server")

HEADER = b"x-inferd-notes"
MAX_NOTES = 8  # per reply
MAX_LOGGED = 1000  # different notes, in the life of the server
_HARMLESS = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Notes:
    """One per application."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The header of a reply with notes; new ones are logged."""
        notes: list[str] = scope.get("state", {}).get("notes", [])
        for note in notes:
            if note not in self._logged and len(self._logged) < MAX_LOGGED:
                self._logged.add(note)
                log.warning("a client sent %s", note)
        return [(HEADER, "; ".join(notes).encode())] if notes else []


def add(request: Request, note: str) -> None:
    """`note` must be fit for a header: no client's text that `shown` did not pass."""
    state: dict[str, Any] = request.scope.setdefault("state", {})
    notes = state.setdefault("notes", [])
    if len(notes) < MAX_NOTES:
        notes.append(note)


def add_all(request: Request, found: Iterable[str]) -> None:
    for note in found:
        add(request, note)


def shown(name: str) -> str:
    """A name that a client chose, if it is harmless."""
    return name if _HARMLESS.fullmatch(name) else "(not shown)"


def unknown_fields(request: Request, names: Iterable[str], model: type[Body]) -> None:
    """Note those that `model` does not know, with the nearest name that it does."""
    known = model.known()
    for name in islice((name for name in names if name not in known), MAX_NOTES):
        add(request, f"unknown field {_with_nearest(shown(name), model)}")


@lru_cache(maxsize=1024)
def _with_nearest(name: str, model: type[Body]) -> str:
    near = difflib.get_close_matches(name, sorted(model.known()), n=1, cutoff=0.75)
    return f"{name}, did you mean {near[0]}?" if near else name
