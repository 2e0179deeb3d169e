"""GET /v1/responses/{id}/input_items: what a response answered, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from inferd.errors import RequestError

Object = dict[str, Any]
MAX_LIMIT = 100


def page(response_id: str, turns: list[Object], query: Mapping[str, str]) -> Object:
    """The page that `limit` (20), `order` (desc) and `after` (an item's id) choose of the items of
    `turns`, which are as chat templates read them. Raises RequestError, naming the parameter.
    """
    items = [item for turn in turns for item in _items(turn)]
    for number, item in enumerate(items):
        item["id"] = f"{response_id}_{number}"
    if _order(query) == "desc":
        items.reverse()
    if (after := query.get("after")) is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise RequestError(f"after: there is no item {after[:64]!r}", "after")
        items = items[ids.index(after) + 1 :]
    limit = _limit(query)
    data = items[:limit]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {
        "object": "list",
        "data": data,
        "first_id": None,
        "last_id": None,
        **ends,
        "has_more": len(items) > limit,
    }


def _order(query: Mapping[str, str]) -> str:
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestError("order must be asc or desc", "order")
    return order


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "20")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise RequestError(f"limit must be a number from 1 to {MAX_LIMIT}", "limit")
    return int(text)


def _items(turn: Object) -> Iterator[Object]:
    """The items that one turn was, or would have been, sent as."""
    role, content = turn["role"], turn["content"]
    if role == "tool":
        call_id = turn["tool_call_id"]
        yield {"type": "function_call_output", "call_id": call_id, "output": content}
        return
    if thought := turn.get("reasoning_content"):
        parts = [{"type": "reasoning_text", "text": thought}]
        yield {"type": "reasoning", "summary": [], "content": parts}
    if content:
        kind = "output_text" if role == "assistant" else "input_text"
        part: Object = {"type": kind, "text": content}
        if role == "assistant":
            part["annotations"] = []
        yield {"type": "message", "role": role, "status": "completed", "content": [part]}
    for call in turn.get("tool_calls", []):
        yield _call(call)


def _call(call: Object) -> Object:
    function = call["function"]
    arguments = function["arguments"]
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    named = {"call_id": call["id"], "name": function["name"], "arguments": arguments}
    return {"type": "function_call", "status": "completed", **named}
