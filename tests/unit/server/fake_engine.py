"""An engine in memory: real input checks and real output handling around a scripted model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine.answers import Answers
from inferd.engine.inputs import InputProcessor
from inferd.engine.output_processor import RequestState
from inferd.engine.outputs import RequestOutput
from inferd.errors import InferdError
from inferd.params import SamplingParams
from inferd.types import FinishReason, Logprobs, Request, SequenceOutput, StepStats

VOCAB = 1000
EOS = 0
CONTEXT = 512


class CharTokenizer:
    """One token per character; 0 ends a text."""

    vocab_size = VOCAB
    has_chat_template = True
    chat_template = "a template"
    special_tokens = {"bos_token": "<s>", "eos_token": "\0"}
    takes_tools = True

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []  # where templates and texts were worked on
        self.seen: dict[str, Any] = {}  # what the template was given last

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(c) if ord(c) < VOCAB else ord("?") for c in text]

    def encode_batch(self, texts: list[str], add_special_tokens: bool = True) -> list[list[int]]:
        self.threads.append(threading.current_thread())
        return [self.encode(text) for text in texts]

    def encode_conversation(self, text: str) -> list[int]:
        self.threads.append(threading.current_thread())
        return self.encode(text)

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        self.threads.append(threading.current_thread())
        return "".join(chr(i) for i in ids if i != EOS)

    def token_text(self, token_id: int) -> str:
        return chr(token_id)

    def stream(self, prompt: list[int], skip_special_tokens: bool = True) -> CharTokenizer:
        return self

    def step(self, token_id: int) -> str:
        return chr(token_id)

    def flush(self) -> str:
        return ""

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: list[dict[str, Any]] | None = None,
        **options: Any,
    ) -> str:
        self.threads.append(threading.current_thread())
        self.seen = {"messages": messages, "tools": tools, **options}
        text = "".join(f"<{m['role']}>{m['content']}" for m in messages)
        return text + "<assistant>" if add_generation_prompt else text


class FakeEngine:
    """Answers every prompt with `reply`, a character a step."""

    def __init__(self, reply: str = "Hello!") -> None:
        self.reply = reply
        self.alive = True
        self.silent_s = 0.0
        self.config = EngineConfig.of("tiny")
        self.info = WorkerInfo(CONTEXT, VOCAB, 64, 16, (("full", None),), {})
        self.tokenizer: CharTokenizer | None = CharTokenizer()
        self.generation_config: dict[str, Any] = {}
        self.answers = Answers()
        self.stats = StepStats(num_running=3, num_blocks=64, num_blocks_used=16, prefix_hits=7)
        self.error: InferdError | None = None
        self.gate: asyncio.Event | None = None  # when set, every step waits for it
        self.broken_after: tuple[int, Exception] | None = None  # raise after so many steps
        self.sample_error: str | None = None
        self.sample_error_code: str | None = None
        self.seen: list[Request] = []
        self.aborted: list[str] = []
        self.num_unfinished = 0

    def _request(
        self, prompt: str | list[int], params: SamplingParams, request_id: str, **rest: Any
    ) -> Request:
        inputs = InputProcessor(self.info, self.tokenizer, [EOS], Random(0))  # type: ignore[arg-type]
        return inputs.request(request_id, prompt, params, **rest)

    async def generate(
        self,
        prompt: str | list[int],
        params: SamplingParams,
        request_id: str,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> AsyncGenerator[RequestOutput, None]:
        if self.error is not None:
            raise self.error
        request = self._request(
            prompt, params, request_id, priority=priority, cache_salt=cache_salt
        )
        self.seen.append(request)
        self.num_unfinished += 1
        state = RequestState(request, None, self.tokenizer)  # type: ignore[arg-type]
        try:
            for step, index, output in self._outputs(request):
                if self.gate is not None:
                    await self.gate.wait()
                if self.broken_after is not None and step >= self.broken_after[0]:
                    raise self.broken_after[1]
                fed = state.feed(output)
                if fed is not None:
                    yield fed[0]
                del index
        finally:
            self.num_unfinished -= 1
            if not state.finished:
                self.aborted.append(request_id)

    def _outputs(self, request: Request) -> Any:
        params = request.params
        tokens = [ord(c) for c in self.reply]
        if not params.ignore_eos:
            tokens.append(EOS)
        room = CONTEXT - len(request.prompt_ids)
        most = min(room, params.max_tokens or room)
        tokens = (tokens * (most // len(tokens) + 1))[: most if params.ignore_eos else len(tokens)]
        tokens = tokens[:most]
        for step, token in enumerate(tokens):
            for index in range(params.n):
                yield step, index, self._output(request, step, index, token, step == most - 1)

    def _output(
        self, request: Request, step: int, index: int, token: int, last: bool
    ) -> SequenceOutput:
        reason: FinishReason | None = "length" if last else None
        if token == EOS and not request.params.ignore_eos:
            reason = "stop"
        if self.sample_error is not None:
            reason = "error"
        first = step == 0 and index == 0
        return SequenceOutput(
            request_id=request.request_id,
            index=index,
            token_ids=[token],
            finish_reason=reason,
            logprobs=_logprobs(token, request.params.logprobs),
            prompt_logprobs=_prompt_logprobs(request) if first else None,
            num_cached=4 if first else 0,
            error=self.sample_error,
            error_code=self.sample_error_code,
        )


def _logprobs(token: int, top: int | None) -> list[Logprobs] | None:
    """The chosen token is the second most likely one."""
    if top is None:
        return None
    ranked = [token + 1, token, *range(token + 2, token + 20)][:top]
    values = [-0.5, -1.0, *(-2.0 - i for i in range(18))][:top]
    return [Logprobs([token, *ranked], [-1.0, *values], 2)]


def _prompt_logprobs(request: Request) -> list[Logprobs | None] | None:
    top = request.params.prompt_logprobs
    if top is None:
        return None
    rest: list[Logprobs | None] = []
    for token in request.prompt_ids[1:]:
        rest += _logprobs(token, top) or []
    return [None, *rest]
