"""Output: the items of a response, in the order in which the model wrote them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from inferd.contracts.output_parser import Arguments, Call, Content, Piece, Reasoning

Object = dict[str, Any]
TYPES: dict[type[Piece], tuple[str, str]] = {  # its type, and what its ids begin with
    Content: ("message", "msg"),
    Reasoning: ("reasoning", "rs"),
    Call: ("function_call", "fc"),
}


@dataclass(slots=True)
class Item:
    """A message, reasoning, or a call, whose text is its arguments."""

    kind: type[Piece]
    index: int
    id: str
    call: Call | None = None
    _texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def part(self, logprobs: list[Object]) -> Object:
        """The one part of its content."""
        if self.kind is Reasoning:
            return {"type": "reasoning_text", "text": self.text}
        return {
            "type": "output_text",
            "text": self.text,
            "annotations": [],
            "logprobs": logprobs,
        }

    def shape(self, status: str, logprobs: list[Object], *, is_open: bool = False) -> Object:
        """As clients see it; without its content while it is open."""
        item: Object = {"id": self.id, "type": TYPES[self.kind][0], "status": status}
        if self.call is not None:
            arguments = "" if is_open else self.text
            named = {"call_id": self.call.id, "name": self.call.name}
            return item | named | {"arguments": arguments}
        content = [] if is_open else [self.part(logprobs)]
        further: Object = {"role": "assistant"} if self.kind is Content else {"summary": []}
        return item | further | {"content": content}

    def add(self, text: str) -> None:
        self._texts.append(text)


class Output:
    """Of one response."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def add(self, piece: Piece) -> Item:
        """The item that a piece goes on, or begins."""
        last = self.items[-1] if self.items else None
        if isinstance(piece, Call):
            last = self._begin(Call, piece)
        elif last is None or last.kind is not (
            Call if isinstance(piece, Arguments) else type(piece)
        ):
            last = self._begin(type(piece), None)
        last.add(piece.arguments if isinstance(piece, Call) else piece.text)
        return last

    def _begin(self, kind: type[Piece], call: Call | None) -> Item:
        name = f"{TYPES[kind][1]}_{uuid.uuid4().hex}"
        self.items.append(Item(kind, len(self.items), name, call))
        return self.items[-1]

    def shapes(self, status: str, logprobs: list[Object]) -> list[Object]:
        """All of them; `status` is that of the last, which is a message where there is none."""
        if not self.items:
            self._begin(Content, None)
        *before, last = self.items
        return [
            *(item.shape("completed", logprobs) for item in before),
            last.shape(status, logprobs),
        ]

    @property
    def calls(self) -> list[Call]:
        return [
            Call(item.call.name, item.text, item.call.id)
            for item in self.items
            if item.call is not None
        ]

    def joined(self, kind: type[Piece]) -> str:
        return "".join(item.text for item in self.items if item.kind is kind)
