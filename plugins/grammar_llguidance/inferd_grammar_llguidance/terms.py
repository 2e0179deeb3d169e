"""Texts in the library's notation. None of them stands for a special token, so those are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

Specials = Mapping[str, int]
"""Special tokens by their text, without those that end an answer."""


def specials_of(tokenizer_json: str, eos_ids: Iterable[int]) -> Specials:
    added = json.loads(tokenizer_json).get("added_tokens", [])
    ends = set(eos_ids)
    return {t["content"]: t["id"] for t in added if t["special"] and t["id"] not in ends}


def terms(text: str, specials: Specials) -> str:
    return " ".join(
        f"<[{specials[part]}]>" if part in specials else json.dumps(part, ensure_ascii=False)
        for part in parts(text, specials)
    )


def parts(text: str, specials: Specials) -> list[str]:
    """Special tokens and what stands between them."""
    longest = sorted(specials, key=len, reverse=True)
    found = re.split(f"({'|'.join(map(re.escape, longest))})", text) if longest else [text]
    return [part for part in found if part]
