"""Events with names, whose data repeats the name as its type: Anthropic's, and /v1/responses'."""

from __future__ import annotations

from typing import Any

from inferd_server.chunks import encode


def event(name: str, content: dict[str, Any]) -> bytes:
    """One event of a stream."""
    return b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **content}) + b"\n\n"
