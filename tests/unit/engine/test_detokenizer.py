"""Stop strings and incremental detokenizing, for every way a text can be cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.engine.detokenizer import Detokenizer, StopStrings

PIECES = st.lists(st.text(alphabet="abS", max_size=4), max_size=12)


def reference(text: str, stops: list[str], include: bool) -> tuple[str, bool]:
    """The whole text cut at the first completed stop string."""
    ends = [(text.find(s) + len(s), s) for s in stops if s in text]
    if not ends:
        return text, False
    starts = [(text.find(s), s) for s in stops if s in text]
    at, stop = min(starts, key=lambda hit: (hit[0], -len(hit[1])))
    return (text[: at + len(stop)] if include else text[:at]), True


@given(pieces=PIECES, include=st.booleans())
def test_one_stop_string_is_found_however_the_text_is_cut(pieces: list[str], include: bool) -> None:
    stops = StopStrings(["SabS"], include)
    shown, stopped = "", False
    for piece in pieces:
        text, stop = stops.feed(piece)
        shown += text
        if stop is not None:
            stopped = True
            break
    if not stopped:
        shown += stops.flush()
    assert (shown, stopped) == reference("".join(pieces), ["SabS"], include)


def test_text_that_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    stops = StopStrings(["END"], include=False)
    assert stops.feed("hello E") == ("hello ", None)
    assert stops.feed("N") == ("", None)
    assert stops.feed("X") == ("ENX", None)


def test_the_earliest_stop_string_wins() -> None:
    assert StopStrings(["b", "ab"], include=False).feed("xab") == ("x", "ab")


class Pieces:
    """A stream decoder whose token i is the i-th piece."""

    def __init__(self, pieces: list[str], tail: str = "") -> None:
        self._pieces = pieces
        self._tail = tail

    def step(self, token_id: int) -> str:
        return self._pieces[token_id]

    def flush(self) -> str:
        return self._tail


def test_tokens_after_a_stop_string_are_dropped() -> None:
    detokenizer = Detokenizer(Pieces(["one ", "stop", " two"]), ["stop"], include_stop=False)
    assert detokenizer.feed([0, 1, 2]) == ("one ", "stop")


def test_held_text_comes_out_when_the_sequence_ends() -> None:
    detokenizer = Detokenizer(Pieces(["a st"], tail="?"), ["stop"], include_stop=False)
    assert detokenizer.feed([0]) == ("a ", None)
    assert detokenizer.finish() == ("st?", None)


@given(pieces=PIECES, min_tokens=st.integers(0, 12))
def test_a_stop_string_within_the_first_tokens_does_not_count(
    pieces: list[str], min_tokens: int
) -> None:
    """One that ends later does, wherever it began."""
    detokenizer = Detokenizer(Pieces(pieces), ["ab"], include_stop=True, min_tokens=min_tokens)
    text, stop = detokenizer.feed(list(range(len(pieces))))
    if stop is None:
        text += detokenizer.finish()[0]
    whole = "".join(pieces)
    passed = len("".join(pieces[:min_tokens]))
    at = whole.find("ab", max(0, passed - 1))
    assert text == (whole if at < 0 else whole[: at + 2])
    assert (stop == "ab") == (at >= 0)
