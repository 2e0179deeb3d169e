"""Chat templates: Jinja from a checkpoint, rendered in a sandbox as transformers does.

The sandbox is ImmutableSandboxedEnvironment with transformers' extras (raise_exception,
strftime_now, tojson without escaping, break and continue), so that templates behave the same.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from inferd.errors import RequestError


@lru_cache(maxsize=16)
def _compile(template: str) -> Any:
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    def strftime_now(form: str) -> str:
        return datetime.now().strftime(form)  # noqa: DTZ005 - templates want local time

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
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
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"the messages do not fit the model's chat template: {error}", "messages"
        ) from None
    return text
