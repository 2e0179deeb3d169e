"""Structural tags in the library's notation: free text, in which a trigger ends the freedom."""

from __future__ import annotations

import json
from typing import Any

from inferd.errors import RequestError

STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as models put it into calls, in one way."""
TEXT = r"/(.|\n)*/"


def lark_of(tag: str) -> str:
    """A trigger is a lazy lexeme: the first place where it stands is where it counts.

    Raises RequestError for a tag of another shape.
    """
    try:
        content = json.loads(tag)
        rules = [_rule(content["structures"], trigger) for trigger in content["triggers"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(
            'structural_tag must be {"triggers": [...], "structures": [{"begin", "schema", '
            '"end"}]}, and each trigger the beginning of a structure',
            "structured_outputs",
        ) from None
    names = " | ".join(f"tag_{number}" for number in range(len(rules)))
    lines = ["%llguidance {}", f"start: ({names})* TEXT", f"TEXT: {TEXT}"]
    for number, (trigger, bodies) in enumerate(rules):
        lines += [
            f"trigger_{number}[lazy]: {TEXT} {trigger}",
            f"tag_{number}: trigger_{number} ({' | '.join(bodies)})",
        ]
    return "\n".join(lines)


def _rule(structures: list[dict[str, Any]], trigger: str) -> tuple[str, list[str]]:
    """The trigger, and what may follow it. Raises ValueError where nothing may."""
    own = [each for each in structures if each["begin"].startswith(trigger)]
    if not own or not trigger:
        raise ValueError("a trigger that begins no structure")
    return json.dumps(trigger, ensure_ascii=False), [_body(each, trigger) for each in own]


def _body(structure: dict[str, Any], trigger: str) -> str:
    schema = {"x-guidance": STYLE} | structure["schema"]
    texts = (structure["begin"].removeprefix(trigger), structure["end"])
    begin, end = (json.dumps(text, ensure_ascii=False) if text else "" for text in texts)
    return f"{begin} %json {json.dumps(schema)} {end}"
