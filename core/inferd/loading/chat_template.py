"""Chat templates: Jinja from a checkpoint, rendered in a sandbox as transformers does.

The sandbox is ImmutableSandboxedEnvironment with transformers' extras (raise_exception,
strftime_now, tojson without escaping, break, continue and generation), so that templates behave
the same.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from inferd.errors import RequestError

MARK = "THE_TEXT_ENDS_HERE "  # its space tells whether the template trims what it is given


@lru_cache(maxsize=16)
def _compile(template: str) -> Any:
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} marks an assistant's text for training; it is rendered as it stands."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    def strftime_now(form: str) -> str:
        return datetime.now().strftime(form)  # noqa: DTZ005 - templates want local time

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment.from_string(template)


def render(template: str, messages: list[dict[str, Any]], **context: Any) -> str:
    """The conversation as text; raises RequestError with the template's own complaint."""
    from jinja2.exceptions import TemplateError

    try:
        text: str = _compile(template).render(messages=messages, **context)
    except TemplateError as error:
        raise RequestError(
            f"the model's chat template refused the messages: {error}", "messages"
        ) from None
    except Exception as error:  # whatever else a template's expressions raise
        raise RequestError(
            f"the messages do not fit the model's chat template: {error}", "messages"
        ) from None
    return text


def render_open(template: str, messages: list[dict[str, Any]], **context: Any) -> str:
    """As `render`, up to the end of the last message's text, so that it is continued.

    Raises RequestError when that message has no text, or the template does not show it.
    """
    *before, last = messages
    text = render(template, [*before, _marked(last)], **context)
    end = text.rfind(MARK.strip())
    if end < 0:
        raise RequestError(
            "continue_final_message: the model's chat template does not show the last message",
            "messages",
        )
    kept = text[:end]
    return kept if text.startswith(MARK, end) else kept.rstrip()  # the template trims texts


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    """With a mark at the end of its text; a text may stand in parts."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": content + MARK}
    parts = list(content) if isinstance(content, list) else []
    for place, part in reversed(list(enumerate(parts))):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            parts[place] = {**part, "text": part["text"] + MARK}
            return {**message, "content": parts}
    raise RequestError("continue_final_message needs a last message with text", "messages")
