"""A checkpoint that brings a response template of its own."""

from __future__ import annotations

from inferd.contracts.output_parser import ChatFormat
from inferd.contracts.response_template import compile_template
from inferd.contracts.template_parser import TemplateParser
from inferd.contracts.verdict import YES, Verdict, no
from inferd.errors import CheckpointError


class CheckpointParser(TemplateParser):
    """Its template is the checkpoint's: `of` makes the class."""

    keeps_special = True
    frames_content = True

    @classmethod
    def supports(cls, chat: ChatFormat) -> Verdict:
        if chat.response_template is None:
            return no("the checkpoint has no response template")
        try:
            compile_template(chat.response_template)
        except CheckpointError as error:
            return no(str(error))
        return YES

    @classmethod
    def of(cls, chat: ChatFormat) -> type[CheckpointParser]:
        return type(cls.__name__, (cls,), {"template": chat.response_template})
