"""Response templates: transformers' description of an answer's markup, compiled.

A template is data, often a checkpoint's own. Each field is a region with markers around it; one
field may have no opening marker, and holds what stands outside of all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferd.contracts.call_stream import BARE, head
from inferd.contracts.response_values import check, fill, read_content
from inferd.errors import CheckpointError

KINDS = {
    "content": "content",
    "reasoning_content": "reasoning",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "tool_calls": "calls",
}
"""Field -> what it is. Regions of other fields are left out of the answer."""


@dataclass(frozen=True, slots=True)
class Region:
    """One field. Patterns are the regex library's, which knows matches that are not complete."""

    kind: str
    opens: Any  # None: what is outside of all others
    closes: Any  # None: the end of the answer
    content: str
    args: Mapping[str, Any]
    transform: Any
    each: bool
    head: Any  # what its calls begin with, where they can be told before they are whole

    def values(self, body: str, names: Mapping[str, str]) -> list[Any]:
        """What the region says; `names` are groups of its opening. Raises ValueError."""
        value = read_content(body, self.content, self.args)
        if self.transform is None:
            return value if isinstance(value, list) else [value]
        if not self.each:
            return [fill(self.transform, {**names, "content": value})]
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ValueError("expected a list of objects")
        return [fill(self.transform, {**names, **item}) for item in value]


@dataclass(frozen=True, slots=True)
class ResponseTemplate:
    """Compiled by `compile_template`."""

    regions: Sequence[Region] = field(default_factory=list)  # with opening markers
    outside: Region | None = None
    anchor: Any = None  # what an assistant's turn begins with

    def without_calls(self) -> ResponseTemplate:
        rest = [region for region in self.regions if region.kind != "calls"]
        return ResponseTemplate(rest, self.outside, self.anchor)

    def after_anchor(self, prompt: str) -> str:
        """What the prompt has written of the answer."""
        ends = [found.end() for found in self.anchor.finditer(prompt)]
        return prompt[ends[-1] :] if ends else ""


def compile_template(template: Mapping[str, Any]) -> ResponseTemplate:
    """Raises CheckpointError for a template that is none."""
    import regex

    try:
        if template.get("version", 1) != 1:
            raise ValueError(f"version {template['version']}")
        regions = [_region(name, spec) for name, spec in template["fields"].items()]
        anchor = _pattern(template, "start_anchor")
    except (KeyError, TypeError, AttributeError, ValueError, regex.error) as error:
        raise CheckpointError(f"the response template cannot be used: {error!r}") from None
    outside = [region for region in regions if region.opens is None]
    if len(outside) > 1 or anchor is None:
        raise CheckpointError(
            "a response template has one start_anchor, and one field without open"
        )
    opening = [region for region in regions if region.opens is not None]
    return ResponseTemplate(opening, outside[0] if outside else None, anchor)


def _head(spec: Mapping[str, Any]) -> str | None:
    """From what the transform makes of the JSON inside."""
    if spec.get("content") != "json" or spec.get("content_args"):
        return None
    function = (spec.get("transform") or {}).get("function", "{content}")
    if function == "{content}":
        return head()
    name, arguments = function.get("name", ""), function.get("arguments", "")
    if spec.get("transform_each"):
        return head(name.strip("{}"), arguments.strip("{}"))
    if name.startswith("{content.") and arguments.startswith("{content."):
        return head(name[9:-1], arguments[9:-1])
    return BARE if (name, arguments) == ("{name}", "{content}") else None


def _region(name: str, spec: Mapping[str, Any]) -> Region:
    import regex

    content = spec.get("content", "text")
    begins = spec.get("head_pattern", _head(spec)) if KINDS.get(name) == "calls" else None
    check(content, spec.get("content_args", {}))
    return Region(
        kind=KINDS.get(name, ""),
        opens=_pattern(spec, "open"),
        closes=_pattern(spec, "close"),
        content=content,
        args=spec.get("content_args", {}),
        transform=spec.get("transform"),
        each=bool(spec.get("transform_each", False)),
        head=begins and regex.compile(begins, regex.DOTALL),
    )


def _pattern(spec: Mapping[str, Any], name: str) -> Any:
    """`name` is one literal text or several, `name`_pattern a regular expression."""
    import regex

    if f"{name}_pattern" in spec:
        return regex.compile(spec[f"{name}_pattern"], regex.DOTALL)
    given = spec.get(name)
    if given is None:
        return None
    literals = [given] if isinstance(given, str) else sorted(given, key=len, reverse=True)
    if not all(literals):
        raise ValueError(f"{name} is empty")
    return regex.compile("|".join(map(regex.escape, literals)), regex.DOTALL)
