"""Logs: lines of text, or of JSON, on standard error. No prompt, no answer, no key is in them."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from inferd_server.caller import CALLER

if TYPE_CHECKING:
    from starlette.types import Scope

Format = Literal["text", "json"]
MAX_PATH = 256
_access = logging.getLogger("inferd.access")


def configure(form: Format, access_log: bool) -> None:
    """For the process of a server, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger("inferd")
    root.handlers = [handler]
    root.propagate = False
    root.setLevel(logging.WARNING)
    _access.setLevel(logging.INFO if access_log else logging.WARNING)


def access(scope: Scope, status: int, seconds: float) -> None:
    """One line per request, without its query; status 0: the client left before an answer."""
    if not _access.isEnabledFor(logging.INFO):
        return
    caller = CALLER.get()
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["raw_path"].decode("latin-1")[:MAX_PATH],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "key": caller.key.name if caller.key else None,
        "session_id": caller.session_id,
    }
    text = "{method} {path} {status} {ms} ms".format(**fields)
    _access.info(text, extra={"fields": fields})


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever a client had put into it; a traceback follows on lines of its own."""
        line = record.getMessage()
        escaped = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        request_id = CALLER.get().request_id
        text = f"inferd: {record.levelname.lower()}: {escaped}" + (
            f" [{request_id}]" if request_id else ""
        )
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One object a line."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": CALLER.get().request_id or None,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(content).decode()
