"""Family: a TemplateParser that knows its models by what stands in their chat templates."""

from __future__ import annotations

from typing import Any, ClassVar

from inferd.contracts.output_parser import ChatFormat
from inferd.contracts.template_parser import TemplateParser
from inferd.contracts.verdict import YES, Verdict, no

NOWHERE = r"\Z"  # as a template's start_anchor: prompts write nothing of an answer
NAMED: Any = {"function": {"name": "{name}", "arguments": "{content}"}}
"""A call whose name stands in its opening marker."""


class Family(TemplateParser):
    """`has` must all stand in the chat template, none of `lacks`."""

    has: ClassVar[tuple[str, ...]]
    lacks: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def supports(cls, chat: ChatFormat) -> Verdict:
        for text in cls.has:
            if text not in chat.chat_template:
                return no(f"the chat template has no {text}")
        for text in cls.lacks:
            if text in chat.chat_template:
                return no(f"the chat template has {text}")
        return YES
