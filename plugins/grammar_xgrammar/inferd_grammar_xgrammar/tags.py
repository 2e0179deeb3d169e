"""Structural tags as the library has them.

A structure holds a `schema`; or `fields`, each {"begin", "end", "required"} with a `schema`, with
`choices`, with `text`, its least and its most characters, or with `one_of`, structures; or, with
`free`, any text; or what fits a `pattern`; or `several` structures, `least` of them or more, with
`between` between them. If it is `numbered`, a whole number and that text follow its begin. Or the
`whole` answer is a structure; or it fits the regular expression `otherwise`, where there are no
triggers. What a text with triggers `excludes` does not stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inferd.errors import RequestError
from inferd_grammar_xgrammar.schema import refuse_unenforced

SHAPE = (
    'structural_tag must be {"triggers": [...], "structures": [{"begin", "schema", "end"}]}, and '
    "each trigger the beginning of a structure"
)
Format = dict[str, Any]


def format_of(tag: str) -> Format:
    """Raises RequestError for a tag of another shape, and for a schema that is not enforced."""
    try:
        content = json.loads(tag)
        ways = [_whole(content["whole"])] if "whole" in content else []
        if "otherwise" in content:
            ways.append({"type": "regex", "pattern": str(content["otherwise"])})
        else:
            ways.append(_triggered(content))
    except (ValueError, KeyError, TypeError):
        raise RequestError(SHAPE, "structured_outputs") from None
    return {"type": "structural_tag", "format": {"type": "or", "elements": ways}}


def _triggered(content: Mapping[str, Any]) -> Format:
    """Raises ValueError for a trigger that begins no structure."""
    triggers = [str(trigger) for trigger in content["triggers"]]
    tags = [_tag(each, _content(each)) for each in content["structures"]]
    for trigger in triggers:
        if not trigger or not any(tag["begin"].startswith(trigger) for tag in tags):
            raise ValueError(trigger)
    return {
        "type": "triggered_tags",
        "triggers": triggers,
        "tags": tags,
        "excludes": list(map(str, content.get("excludes", ()))),
    }


def _whole(part: Mapping[str, Any]) -> Format:
    """A tag must have an end."""
    return _sequence(_const(part["begin"]), _content(part), _const(part["end"]))


def _const(text: str) -> Format:
    return {"type": "const_string", "value": text}


def _tag(part: Mapping[str, Any], content: Format) -> Format:
    begin, end = str(part["begin"]), str(part["end"])
    return {"type": "tag", "begin": begin, "content": content, "end": end}


def _content(part: Mapping[str, Any]) -> Format:
    inside = _inside(part)
    if "numbered" not in part:
        return inside
    after = _const(str(part["numbered"]))
    return _sequence({"type": "regex", "pattern": "[0-9]+"}, after, inside)


def _inside(part: Mapping[str, Any]) -> Format:
    if "fields" in part:
        return _sequence(*map(_field, part["fields"]))
    if "several" in part:
        return _several(part)
    if "pattern" in part:
        return {"type": "regex", "pattern": part["pattern"]}
    if part.get("free"):
        return {"type": "any_text"}
    return _of_schema(part["schema"])


def _several(part: Mapping[str, Any]) -> Format:
    return {
        "type": "tags_with_separator",
        "tags": [_tag(each, _content(each)) for each in part["several"]],
        "separator": part["between"],
        "at_least_one": part.get("least", 1) > 0,
    }


def _sequence(*elements: Format) -> Format:
    return {"type": "sequence", "elements": [_const(""), *elements]}


def _field(field: Mapping[str, Any]) -> Format:
    tag = _tag(field, _value(field))
    return tag if field["required"] else {"type": "optional", "content": tag}


def _value(field: Mapping[str, Any]) -> Format:
    if "schema" in field:
        return _of_schema(field["schema"])
    if "choices" in field:
        return {"type": "or", "elements": list(map(_const, field["choices"]))}
    if "one_of" in field:
        ways = [_tag(each, _content(each)) for each in field["one_of"]]
        return {"type": "or", "elements": ways}
    least, most = field["text"]
    if least == 0 and most is None:
        return {"type": "any_text"}
    return {"type": "regex", "pattern": f"[\\s\\S]{{{least},{'' if most is None else most}}}"}


def _of_schema(schema: Any) -> Format:
    refuse_unenforced(json.dumps(schema))
    return {"type": "json_schema", "json_schema": schema}
