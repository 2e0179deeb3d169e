"""ParserContract: a parser of answers tells the same, however the text is cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from inferd.contracts.output_parser import Call, ChatFormat, OutputParser, Piece, joined
from inferd.contracts.verdict import Verdict
from inferd.testing.plugin_contract import PluginContract, implementation


class ParserContract(PluginContract):
    """A registered parser, held to what answers say.

        class TestContract(ParserContract):
            plugin = "mine"
            kind = "tool_parsers"                        # or reasoning_parsers
            parser = "mine"
            chat_template = "... <call> ..."             # of a model that speaks so
            tools = [{"type": "function", "function": {"name": "f"}}]
            answers = {"Yes. <call>f()</call>": [Content("Yes. "), Call("f", "{}")]}

    Ids of calls are not compared.
    """

    kind: ClassVar[str]
    parser: ClassVar[str]
    chat_template: ClassVar[str]
    tools: ClassVar[Sequence[Mapping[str, Any]]] = ()
    answers: ClassVar[Mapping[str, Sequence[Piece]]]

    def implementation(self) -> type[OutputParser]:
        kind: type[OutputParser] = implementation(self.plugin, self.kind, self.parser)
        return kind.of(ChatFormat(self.chat_template))

    def parsed(self, chunks: Iterable[str], tools: Sequence[Mapping[str, Any]]) -> list[Piece]:
        parser = self.implementation()("", tools)
        pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
        return without_ids(pieces + parser.finish())

    def test_it_knows_its_models_and_says_why_not(self) -> None:
        kind = implementation(self.plugin, self.kind, self.parser)
        assert kind.supports(ChatFormat(self.chat_template)) == Verdict(True)
        other = kind.supports(ChatFormat("{{ messages }}"))
        assert not other, "it supports a chat template that says nothing"
        assert other.reason, "a no needs a reason"

    def test_an_answer_says_what_it_means(self) -> None:
        for text, pieces in self.answers.items():
            assert self.parsed([text], self.tools) == list(pieces), text

    def test_cuts_change_nothing(self) -> None:
        """Into characters, and into two at every place."""
        for text, pieces in self.answers.items():
            halves = [[text[:place], text[place:]] for place in range(len(text))]
            for chunks in [list(text), *halves]:
                assert self.parsed(chunks, self.tools) == list(pieces), chunks

    def test_without_tools_nothing_is_a_call(self) -> None:
        for text in self.answers:
            found = self.parsed([text], ())
            assert not [piece for piece in found if isinstance(piece, Call)], text


def without_ids(pieces: Iterable[Piece]) -> list[Piece]:
    """Joined, and with calls that can be compared."""
    return [
        msgspec.structs.replace(piece, id="") if isinstance(piece, Call) else piece
        for piece in joined(pieces)
    ]
