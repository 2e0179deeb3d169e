"""{"name": ..., "parameters": {...}} as the whole answer."""

from __future__ import annotations

import json
from typing import Any

from inferd.contracts.call_stream import head
from inferd.contracts.output_parser import CallFrame
from inferd_parsers.family import NOWHERE, Family

DECODER = json.JSONDecoder(strict=False)


class Llama3(Family):
    """Some answers hold several, with semicolons between them."""

    has = ("<|start_header_id|>", '"parameters"')
    keeps_special = True
    only_given = True
    call_frame = CallFrame(
        "",
        '{"name": "{name}", "parameters": ',
        "}",
        starts=("{", '"name"', ":", '"{name}"'),
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r'\A\s*(?:<\|python_tag\|>\s*)?(?=\{\s*"name"\s*:)',
                "head_pattern": head(arguments="parameters|arguments"),
            },
            "content": {},
        },
    }

    def read(self, body: str) -> list[Any]:
        found, rest = [], body.strip()
        while rest:
            value, end = DECODER.raw_decode(rest)
            if not isinstance(value, dict):
                raise ValueError("expected an object")
            arguments = value.get("parameters", value.get("arguments"))
            found.append({"name": value.get("name"), "arguments": arguments})
            rest = rest[end:].lstrip("; \n")
        return found
