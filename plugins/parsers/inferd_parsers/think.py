"""Reasoning between <think> and </think>, at the beginning of an answer."""

from __future__ import annotations

from inferd_parsers.family import Family


class Think(Family):
    """Many chat templates write <think>, or both, at the end of the prompt."""

    has = ("</think>",)
    reasoning_end = "\n</think>\n\n"
    template = {
        "start_anchor_pattern": r"(?=<think>\s*\Z)",
        "fields": {
            "reasoning_content": {"open_pattern": r"\A\s*<think>", "close": "</think>"},
            "content": {},
        },
    }
