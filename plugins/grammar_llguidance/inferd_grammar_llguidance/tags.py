"""Structural tags in the library's notation: free text, in which a trigger ends the freedom.

No text of a grammar stands for a special token. Where a trigger begins with one, the free text may
hold all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inferd.errors import RequestError

STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as models put it into calls, in one way."""
TEXT = r"/(.|\n)*/"
Specials = Mapping[str, int]
"""Special tokens by their text, without those that end an answer."""


def specials_of(tokenizer_json: str, eos_ids: Iterable[int]) -> Specials:
    added = json.loads(tokenizer_json).get("added_tokens", [])
    ends = set(eos_ids)
    return {t["content"]: t["id"] for t in added if t["special"] and t["id"] not in ends}


@dataclass(frozen=True, slots=True)
class _Rule:
    """What starts with a trigger: a special token or none, a text or none, and what may follow."""

    lead: int | None
    text: str
    bodies: list[str]

    def lines(self, number: int) -> list[str]:
        """A trigger is a lazy lexeme: the first place where it stands is where it counts."""
        bodies, text = f"({' | '.join(self.bodies)})", json.dumps(self.text, ensure_ascii=False)
        if self.lead is None:
            return [
                f"tag_{number}: trigger_{number} {bodies}",
                f"trigger_{number}[lazy]: {TEXT} {text}",
            ]
        if not self.text:
            return [f"tag_{number}: <[{self.lead}]> {bodies}"]
        return [  # other texts may follow that token, too
            f"tag_{number}: <[{self.lead}]> (trigger_{number} {bodies})?",
            f"trigger_{number}[lazy]: {text}",
        ]


def lark_of(tag: str, specials: Specials) -> str:
    """Raises RequestError for a tag of another shape."""
    try:
        content = json.loads(tag)
        rules = [_rule(content["structures"], each, specials) for each in content["triggers"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(
            'structural_tag must be {"triggers": [...], "structures": [{"begin", "schema", '
            '"end"}]}, and each trigger the beginning of a structure',
            "structured_outputs",
        ) from None
    return "\n".join(
        [
            "%llguidance {}",
            *_start(rules, specials),
            f"TEXT: {TEXT}",
            *(line for number, rule in enumerate(rules) for line in rule.lines(number)),
        ]
    )


def _start(rules: list[_Rule], specials: Specials) -> list[str]:
    in_text = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is None]
    marked = [f"tag_{n}" for n, rule in enumerate(rules) if rule.lead is not None]
    piece = f"({' | '.join(in_text)})* TEXT" if in_text else "TEXT"
    if not marked:
        return [f"start: {piece}"]
    leads = {rule.lead for rule in rules}
    free = [str(i) for i in sorted(specials.values()) if i not in leads]
    marks = [*marked, *([f"<[{','.join(free)}]>"] if free else [])]
    return ["start: piece (mark piece)*", f"piece: {piece}", f"mark: {' | '.join(marks)}"]


def _rule(structures: list[dict[str, Any]], trigger: str, specials: Specials) -> _Rule:
    """Raises ValueError where nothing may follow the trigger."""
    own = [each for each in structures if each["begin"].startswith(trigger)]
    if not own or not trigger:
        raise ValueError("a trigger that begins no structure")
    parts = _parts(trigger, specials)
    lead = specials.get(parts[0])
    text = "".join(parts[lead is not None :])
    return _Rule(lead, text, [_body(each, trigger, specials) for each in own])


def _body(structure: dict[str, Any], trigger: str, specials: Specials) -> str:
    schema = {"x-guidance": STYLE} | structure["schema"]
    begin = _terms(structure["begin"].removeprefix(trigger), specials)
    return f"{begin} %json {json.dumps(schema)} {_terms(structure['end'], specials)}"


def _terms(text: str, specials: Specials) -> str:
    return " ".join(
        f"<[{specials[part]}]>" if part in specials else json.dumps(part, ensure_ascii=False)
        for part in _parts(text, specials)
    )


def _parts(text: str, specials: Specials) -> list[str]:
    """Special tokens and what stands between them."""
    longest = sorted(specials, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, longest))})", text) if longest else [text]
    return [part for part in parts if part]
