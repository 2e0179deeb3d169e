"""Conversations are rendered as transformers renders them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chat_templates import CHATML, GENERATION, LLAMA2, LLAMA3, PARTS, QWEN3, TEMPLATES
from transformers import PreTrainedTokenizerFast

from inferd.errors import RequestError, UnsupportedModel
from inferd.loading import chat_template
from inferd.loading.tokenizer import Tokenizer
from inferd.testing.tiny_tokenizer import write_tokenizer

USER = {"role": "user", "content": " What is 2 < 3 & 'é'? "}
ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nTrue.  "}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"function": {"name": "add", "arguments": {"a": 1, "b": "<ü>"}}}
CONVERSATIONS = {
    "one": [USER],
    "system": [SYSTEM, USER],
    "several": [SYSTEM, USER, ANSWER, USER],
    "many": [USER, ANSWER] * 3 + [USER],
    "answered": [USER, ANSWER],
}
TOOL_TALK = [
    USER,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": '{"sum": 3}'},
]
TOOLS = [
    {
        "type": "function",
        "function": {"name": "add", "description": "Füge <x>", "parameters": {"type": "object"}},
    }
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return Tokenizer.load(folder), PreTrainedTokenizerFast.from_pretrained(folder)


def render(both: tuple[Tokenizer, Any], messages: Any, **options: Any) -> tuple[str, str]:
    ours, theirs = both
    return (
        ours.apply_chat_template(messages, **options),
        theirs.apply_chat_template(messages, tokenize=False, **options),
    )


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("style", TEMPLATES)
@pytest.mark.parametrize("add", [True, False])
def test_texts_are_those_of_transformers(
    both: tuple[Tokenizer, Any], style: str, conversation: str, add: bool
) -> None:
    found, expected = render(
        both,
        CONVERSATIONS[conversation],
        chat_template=TEMPLATES[style],
        add_generation_prompt=add,
    )
    assert found == expected
    assert len(found) > 10


@pytest.mark.parametrize("style", ["llama3", "qwen3", "chatml"])
@pytest.mark.parametrize("tools", [TOOLS, None])
def test_tools_and_their_calls(both: tuple[Tokenizer, Any], style: str, tools: Any) -> None:
    found, expected = render(
        both, TOOL_TALK, chat_template=TEMPLATES[style], tools=tools, add_generation_prompt=True
    )
    assert found == expected
    if style != "chatml" and tools:
        assert "Füge <x>" in found, "JSON must not be escaped"


def test_options_reach_the_template(both: tuple[Tokenizer, Any]) -> None:
    for options in ({"enable_thinking": False}, {"enable_thinking": True}, {}):
        found, expected = render(
            both, [USER], chat_template=QWEN3, add_generation_prompt=True, **options
        )
        assert found == expected
        assert found.endswith("</think>\n\n") == (options.get("enable_thinking") is False)
    found, expected = render(both, [USER], chat_template=LLAMA3, date_string="today")
    assert "Today: today" in found


@pytest.mark.parametrize("style", ["chatml", "llama2", "generation", "parts"])
@pytest.mark.parametrize("text", ["Yes, ", "e", "<|im_end|>", "trailing  ", "\n\nx\n"])
def test_a_message_is_continued(both: tuple[Tokenizer, Any], style: str, text: str) -> None:
    """Also one whose text occurs in what the template puts behind it."""
    found, expected = render(
        both,
        [USER, {"role": "assistant", "content": text}],
        chat_template=TEMPLATES[style],
        continue_final_message=True,
        add_generation_prompt=False,
    )
    assert found == expected
    assert found.rstrip().endswith(text.strip())


def test_a_message_in_parts_is_continued(both: tuple[Tokenizer, Any]) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b "}, {"type": "image"}]
    messages = [USER, {"role": "assistant", "content": parts}]
    options = {"continue_final_message": True, "add_generation_prompt": False}
    found, expected = render(both, messages, chat_template=PARTS, **options)
    assert found == expected
    assert found.endswith("ab ")
    assert len(parts[1]["text"]) == 2, "the caller's messages were changed"


@pytest.mark.parametrize("content", [None, [], [{"type": "image"}]])
def test_only_text_can_be_continued(both: tuple[Tokenizer, Any], content: Any) -> None:
    with pytest.raises(RequestError, match="needs a last message with text"):
        both[0].apply_chat_template(
            [{"role": "assistant", "content": content}], continue_final_message=True
        )


def test_a_template_that_drops_the_message_cannot_continue_it(both: tuple[Tokenizer, Any]) -> None:
    with pytest.raises(RequestError, match="does not show the last message"):
        both[0].apply_chat_template([USER], continue_final_message=True, chat_template="hello")


@pytest.mark.parametrize(
    ("template", "messages", "words"),
    [
        (LLAMA2, [ANSWER], "refused the messages: Conversation roles must alternate"),
        (CHATML, [{"role": "user"}], "refused the messages.*content"),
        (CHATML, [{"role": "user", "content": 5}], "do not fit the model's chat template"),
        (GENERATION + "{{ 1 // 0 }}", [USER], "do not fit .*zero"),
        ("{% for x in range(10**9) %}{% endfor %}", [USER], "do not fit .*[Rr]ange"),
        ("{{ messages.append(1) }}", [USER], "refused the messages"),
        ("{{ ''.__class__.__mro__ }}", [USER], "refused the messages: .*unsafe"),
        ("{% for %}", [USER], "refused the messages"),
    ],
)
def test_what_a_template_raises_is_a_request_error(
    both: tuple[Tokenizer, Any], template: str, messages: Any, words: str
) -> None:
    with pytest.raises(RequestError, match=words):
        both[0].apply_chat_template(messages, chat_template=template)


def test_templates_are_compiled_once(both: tuple[Tokenizer, Any]) -> None:
    chat_template._compile.cache_clear()
    for _ in range(3):
        both[0].apply_chat_template([USER])
    assert chat_template._compile.cache_info().misses == 1


def test_without_a_template_another_way_is_named(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer.load(tmp_path)
    assert not tokenizer.has_chat_template
    with pytest.raises(UnsupportedModel, match="no chat template; use /v1/completions"):
        tokenizer.apply_chat_template([USER])
    with pytest.raises(RequestError, match="messages is empty"):
        tokenizer.apply_chat_template([], chat_template=CHATML)


def test_the_real_model(smollm2_tokenizer: Tokenizer) -> None:
    assert smollm2_tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}]) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
