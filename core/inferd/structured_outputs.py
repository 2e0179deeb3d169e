"""StructuredOutputs: what an output must be, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from inferd.errors import RequestError

MAX_GRAMMAR_CHARS = 1 << 17
MAX_CHOICES = 1024
WAYS = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")


class StructuredOutputs(
    msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True, forbid_unknown_fields=True
):
    """One of six ways. Raises RequestError unless it is just one, and of a bearable size.

    `json` is a JSON schema as text; `grammar` is written in the back end's own language, which is
    Lark for llguidance. `json_object` takes any object. `structural_tag` leaves text free but for
    what stands between tags, as JSON: {"triggers": [...], "structures": [{"begin", "schema",
    "end"}]}; each begin starts with a trigger, and what starts with one must be one of the
    structures. `backend` names who enforces it; without, that is the operator's choice.
    """

    json: str | None = None
    regex: str | None = None
    choice: tuple[str, ...] | None = None
    grammar: str | None = None
    json_object: bool = False
    structural_tag: str | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in WAYS if getattr(self, name) not in (None, False)]
        if len(given) != 1:
            raise _refusal(f"give just one of {', '.join(WAYS)}, got {' and '.join(given) or None}")
        value = getattr(self, given[0])
        if isinstance(value, str) and len(value) > MAX_GRAMMAR_CHARS:
            raise too_complex(f"{given[0]} has at most {MAX_GRAMMAR_CHARS} characters")
        if not _RULES.get(given[0], _is_text)(value):
            raise _refusal(
                f"{given[0]} must be {_WANTED.get(given[0], 'a text')}, in all at most "
                f"{MAX_GRAMMAR_CHARS} characters"
            )
        if self.backend is not None and not _is_text(self.backend):
            raise _refusal("backend must be a name")


def too_complex(text: str, param: str = "structured_outputs") -> RequestError:
    """For what would take too much time or memory, or more than any answer can hold."""
    return RequestError(f"{param}: {text}", param, "grammar_too_complex")


def _refusal(text: str) -> RequestError:
    return RequestError(f"structured_outputs: {text}", "structured_outputs")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_GRAMMAR_CHARS


def _is_choice(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and 0 < len(value) <= MAX_CHOICES
        and all(map(_is_text, value))
        and sum(map(len, value)) <= MAX_GRAMMAR_CHARS
    )


def _is_true(value: Any) -> bool:
    return value is True


_RULES: dict[str, Callable[[Any], bool]] = {"choice": _is_choice, "json_object": _is_true}
_WANTED = {"choice": f"a tuple of 1 to {MAX_CHOICES} texts", "json_object": "true or false"}
