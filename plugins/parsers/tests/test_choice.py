"""Which parsers a checkpoint gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferd.cli import main
from inferd.config.plugins import PluginOptions
from inferd.contracts.output_parser import ChatFormat
from inferd.engine.answers import Answers
from inferd.errors import PluginError
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.testing.tiny_tokenizer import write_tokenizer

CATALOG = Host(Selection.parse("none,parsers")).catalog
OWN = {"start_anchor": "x", "fields": {"content": {}}}
MARKS = {  # what stands in a family's chat templates -> its parsers
    "nothing": (None, None),
    "<tool_call> </think>": ("Hermes", "Think"),
    "<tool_call> <function=a> </think>": ("QwenCoder", "Think"),
    "<tool_call> <arg_key> </think>": ("Glm", "Think"),
    '<|start_header_id|> "parameters"': ("Llama3", None),
    "<|header_start|>": ("Pythonic", None),
    "[TOOL_CALLS] [THINK]": ("Mistral", "MistralThink"),
    "<｜tool▁call▁begin｜> ```json </think>": ("DeepSeekV3", "Think"),
    "<｜tool▁call▁begin｜> </think>": ("DeepSeekV31", "Think"),
    "<｜DSML｜ </think>": ("DeepSeekV32", "Think"),
    "<|tool_call_begin|>": ("Kimi", None),
    "<|action_start|>": ("InternLM", None),
    "<function_calls> </think>": ("Olmo3", "Think"),
    "<start_of_turn> tools": ("Gemma3", None),
    "<start_of_turn> tools <start_function_call>": ("FunctionGemma", None),
    "minimax:tool_call": ("MiniMax", None),
    "<|tool|> <|/tool|>": ("Phi4Mini", None),
    "<|tool_call|> <|start_of_role|>": ("Granite", None),
    "<tool_call> <|start_of_role|>": ("Hermes", None),
    "<|tool_call_start|>": ("Lfm2", None),
    "<|channel|>": ("Harmony", "Harmony"),
    "<|tool_call> <|channel>": ("Gemma4", "Gemma4"),
    "<|START_ACTION|>": ("Cohere", "Cohere"),
}


def chosen(chat: ChatFormat, **options: str) -> tuple[str | None, str | None]:
    found = Answers.choose(CATALOG, PluginOptions(**options), chat)
    tools, reasoning = found.tools, found.reasoning
    return (tools and tools.__name__, reasoning and reasoning.__name__)


@pytest.mark.parametrize("marks", MARKS)
def test_the_chat_template_decides(marks: str) -> None:
    assert chosen(ChatFormat(marks)) == MARKS[marks]


def test_the_checkpoint_s_own_template_comes_first_and_is_read_once() -> None:
    chat = ChatFormat("<tool_call> </think>", OWN)
    found = Answers.choose(CATALOG, PluginOptions(), chat)
    assert found.tools is found.reasoning
    assert found.tools is not None
    assert found.tools.__name__ == "CheckpointParser"


def test_flags_overrule() -> None:
    chat = ChatFormat("<tool_call> </think>")
    assert chosen(chat, tool_call_parser="none") == (None, "Think")
    assert chosen(chat, tool_call_parser="kimi_k2", reasoning_parser="none") == ("Kimi", None)
    with pytest.raises(PluginError, match="did you mean 'hermes'"):
        chosen(chat, tool_call_parser="herms")


def test_why_prints_what_each_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("<tool_call> {{ messages }}")
    assert main(["plugins", "why", "tool_parsers", str(tmp_path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fits = {row["name"]: (row["fits"], row["reason"]) for row in rows}
    assert fits["hermes"] == ("yes", "")
    assert fits["kimi_k2"] == ("no", "the chat template has no <|tool_call_begin|>")
