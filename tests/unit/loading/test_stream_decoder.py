"""Text that arrives token by token is the text of all tokens at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import MANY, VARIED, common

from inferd.loading.tokenizer import Tokenizer

VOCABULARY = 49152
TEXT = "日本語🙂👩‍👩‍👧 héllo ñandú Ω≈ç√ 한국어 मनीष 🏳️‍🌈."
BYTES = [i + 240 for i in range(200)]  # most of these tokens are a part of a character
IDS = st.lists(st.one_of(st.integers(0, VOCABULARY - 1), st.sampled_from(BYTES)), max_size=14)


def streamed(tokenizer: Tokenizer, prompt: list[int], output: list[int], skip: bool = True) -> str:
    stream = tokenizer.stream(prompt, skip)
    return "".join(stream.step(token_id) for token_id in output) + stream.flush()


@given(ids=IDS, skip=st.booleans())
@MANY
def test_pieces_make_the_whole(smollm2_tokenizer: Tokenizer, ids: list[int], skip: bool) -> None:
    assert streamed(smollm2_tokenizer, [], ids, skip) == smollm2_tokenizer.decode(ids, skip)


@given(prompt=IDS, ids=IDS, skip=st.booleans())
@MANY
def test_after_a_prompt_only_the_rest_is_shown(
    smollm2_tokenizer: Tokenizer, prompt: list[int], ids: list[int], skip: bool
) -> None:
    """A prompt may end within a character: the output then begins with that character."""
    before = smollm2_tokenizer.decode(prompt, skip)
    whole = smollm2_tokenizer.decode(prompt + ids, skip)
    shown = streamed(smollm2_tokenizer, prompt, ids, skip)
    assert shown == whole.removeprefix(common(before, whole))


@pytest.mark.parametrize("text", [TEXT, *VARIED])
def test_every_split_of_a_text(smollm2_tokenizer: Tokenizer, text: str) -> None:
    ids = smollm2_tokenizer.encode(text)
    for cut in range(len(ids) + 1):
        before = common(smollm2_tokenizer.decode(ids[:cut]), text)
        assert before + streamed(smollm2_tokenizer, ids[:cut], ids[cut:]) == text


def test_a_character_is_shown_once_it_is_whole(smollm2_tokenizer: Tokenizer) -> None:
    ids = smollm2_tokenizer.encode("a🙂b")
    stream = smollm2_tokenizer.stream([])
    steps = [stream.step(token_id) for token_id in ids]
    assert [step for step in steps if step] == ["a", "🙂", "b"]
    assert len(steps) > 3, "the emoji is one token: this test shows nothing"
    assert stream.flush() == ""


def test_a_character_cut_at_the_end_is_shown_as_such(smollm2_tokenizer: Tokenizer) -> None:
    ids = smollm2_tokenizer.encode("a🙂")[:-1]
    assert streamed(smollm2_tokenizer, [], ids) == "a\ufffd" == smollm2_tokenizer.decode(ids)


def test_a_prompt_that_is_no_text_is_not_shown(smollm2_tokenizer: Tokenizer) -> None:
    half = smollm2_tokenizer.encode("🙂")[-1:]
    output = smollm2_tokenizer.encode(" fine")
    assert streamed(smollm2_tokenizer, half * 12, output) == " fine"
