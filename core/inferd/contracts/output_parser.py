"""OutputParser: what a model's answer consists of, told as the text comes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from inferd.contracts.verdict import Verdict

Tools = Sequence[Mapping[str, Any]]
"""As chat templates are given them: {"type": "function", "function": {"name", "parameters"}}."""


class Content(msgspec.Struct, frozen=True, gc=False):
    """Text for the reader."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """Text that the model wrote for itself."""

    text: str


class Call(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool. Arguments that follow it go on with its own."""

    name: str
    arguments: str  # JSON, an object, as far as the model wrote JSON
    id: str = ""  # where the family's format has one, or rules for it

    @classmethod
    def of(cls, name: str, arguments: Mapping[str, Any], call_id: str = "") -> Call:
        """Raises ValueError for arguments that JSON has no words for, as NaN; halves of surrogate
        pairs, which UTF-8 has none for, become question marks.
        """
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        return cls(*(part.encode(errors="replace").decode() for part in (name, text, call_id)))


class Arguments(msgspec.Struct, frozen=True, gc=False):
    """More of the arguments of the call before."""

    text: str


Piece = Content | Reasoning | Call | Arguments


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Texts of one kind that follow each other as one, and calls with all of their arguments."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, Arguments) and isinstance(last, Call):
            found[-1] = msgspec.structs.replace(last, arguments=last.arguments + piece.text)
        elif last is not None and not isinstance(piece, Call) and type(piece) is type(last):
            found[-1] = msgspec.structs.replace(piece, text=last.text + piece.text)
        else:
            found.append(piece)
    return found


@dataclass(frozen=True, slots=True)
class CallFrame:
    """How a call stands in text: arguments in JSON between `begin` and `end`."""

    trigger: str  # where the text can only go on as a call
    begin: str  # after the trigger; {name} stands for the tool's, {number} for any whole number
    end: str
    starts: tuple[str, ...] = field(default=(), kw_only=True)
    """Where calls have no trigger: what an answer begins with that is calls as a whole, in parts
    between which white space may stand. {name} stands for the tool's.
    """


@dataclass(frozen=True, slots=True)
class ListFrame(CallFrame):
    """Calls in a JSON list: objects with these keys, and an id if there is a key for it."""

    name: str = "name"
    arguments: str = "arguments"
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class FieldsFrame(CallFrame):
    """Each argument has a begin and an end of its own; one that may be a text is written as it is,
    or all texts, also those within lists and objects, between `quote`.

    {key} stands for its name, {text} for true where it may be a text, else false.
    """

    field_begin: str
    field_end: str
    separator: str = ""  # between two
    quote: str = ""
    opens: str = ""  # before all of them
    closes: str = ""
    other_begin: str = ""  # of each argument of a tool that is not strict; "": they are any text


@dataclass(frozen=True, slots=True)
class PythonFrame(CallFrame):
    """Calls as Python has them, with values in JSON, several with `separator` between them."""

    separator: str = ", "
    alone: PythonFrame | None = None
    """Without a trigger, where calls are the whole answer: its `starts` stand in no other text."""


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """What a checkpoint says about how its model speaks."""

    chat_template: str
    response_template: Mapping[str, Any] | None = None  # transformers', of tokenizer_config.json


class OutputParser(ABC):
    """Made for each sample of an answer. However the text is cut, the pieces are the same once they
    are joined. Text that fits no rule is Content.

    A parser may be registered for tools and for reasoning; chosen for both it is made once. Of two
    different ones, that of tools is given the Content of the other.
    """

    keeps_special: ClassVar[bool] = False
    """Whether it must see special tokens, which are left out of text otherwise."""
    frames_content: ClassVar[bool] = False
    """Whether content, too, stands in markup: a parser of tools then runs without tools as well."""
    call_frame: ClassVar[CallFrame | None] = None
    """Where a grammar can hold a model's calls to their tools' schemas, beside free text."""
    reasoning_end: ClassVar[str] = ""
    """What ends reasoning that a prompt has begun."""

    @classmethod
    @abstractmethod
    def supports(cls, chat: ChatFormat) -> Verdict:
        """Whether models of this format speak so."""

    @classmethod
    def of(cls, chat: ChatFormat) -> type[OutputParser]:  # noqa: ARG003 - some are made for one
        """The parser of models of this format."""
        return cls

    @abstractmethod
    def __init__(self, prompt: str, tools: Tools) -> None:
        """`prompt` ends where the answer begins. Without tools no text is a call."""

    @property
    @abstractmethod
    def reasons(self) -> bool:
        """Whether what comes next belongs to reasoning, as far as is known."""

    @abstractmethod
    def feed(self, text: str) -> list[Piece]:
        """What is certain now."""

    @abstractmethod
    def finish(self) -> list[Piece]:
        """What is left when the answer has ended; called once."""
