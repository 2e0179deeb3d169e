"""Blocks: the content of an Anthropic message, whole and as events."""

from __future__ import annotations

from typing import Any

import msgspec

from inferd.contracts.output_parser import Arguments, Call, Content, Piece, Reasoning, joined
from inferd_server.events import event

Block = dict[str, Any]


def _begun(piece: Piece) -> Block:
    """A block without what its deltas bring."""
    if isinstance(piece, Call):
        return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
    if isinstance(piece, Reasoning):
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _delta(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, Call | Arguments):
        text = piece.arguments if isinstance(piece, Call) else piece.text
        return {"type": "input_json_delta", "partial_json": text}
    if isinstance(piece, Reasoning):
        return {"type": "thinking_delta", "thinking": piece.text}
    return {"type": "text_delta", "text": piece.text}


def whole(pieces: list[Piece]) -> list[Block]:
    """In the order in which they were written; one of text where there is none."""
    blocks: list[Block] = []
    last: type[Piece] | None = None
    for piece in joined(pieces) or [Content("")]:
        if isinstance(piece, Call) or type(piece) is not last:
            blocks.append(_begun(piece))
        if isinstance(piece, Call):
            blocks[-1]["input"] = _input(piece.arguments)
        elif not isinstance(piece, Arguments):
            blocks[-1][blocks[-1]["type"]] += piece.text
        last = type(piece)
    return blocks


def _input(arguments: str) -> Any:
    """As Anthropic's documentation has it for arguments that are no JSON, or not all of it."""
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {"INVALID_JSON": arguments}


class BlockEvents:
    """Of one message: each block opens, comes in deltas, and closes before the next."""

    def __init__(self) -> None:
        self._index = -1  # of the block that was opened last
        self._open: type[Piece] | None = None

    def add(self, piece: Piece) -> bytes:
        found = b""
        if not (isinstance(piece, Arguments) or type(piece) is self._open) or isinstance(
            piece, Call
        ):
            found = self._close() + self._begin(piece)
        return found + event("content_block_delta", {"index": self._index, "delta": _delta(piece)})

    def _begin(self, piece: Piece) -> bytes:
        self._index += 1
        self._open = type(piece)
        start = {"index": self._index, "content_block": _begun(piece)}
        return event("content_block_start", start)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        signed = b""
        if self._open is Reasoning:  # clients wait for a signature, which nobody here checks
            delta = {"type": "signature_delta", "signature": ""}
            signed = event("content_block_delta", {"index": self._index, "delta": delta})
        self._open = None
        return signed + event("content_block_stop", {"index": self._index})

    def end(self) -> bytes:
        """A message has a block at least."""
        return (self._begin(Content("")) if self._index < 0 else b"") + self._close()
