"""LLM: the offline API. The engine runs in this process; names follow vLLM's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine.beam_search import BeamSearchOutput, BeamSearchParams, beam_search
from inferd.engine.engine import Engine
from inferd.engine.front import load_front
from inferd.engine.inputs import InputProcessor
from inferd.engine.output_processor import RequestState
from inferd.engine.outputs import CompletionOutput, RequestOutput
from inferd.engine.progress import Progress
from inferd.errors import RequestError, UsageError
from inferd.host.host import Host
from inferd.params import SamplingParams
from inferd.types import Request

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer

Prompt = str | list[int]
Message = dict[str, Any]


class LLM:
    """Loads a model and generates. Options are those of EngineConfig.of, by keyword.

    Raises UsageError for unknown options or a wrong path, UnsupportedModel, DoesNotFit.
    """

    def __init__(self, model: str = "smollm2", **options: Any) -> None:
        self.config = EngineConfig.of(model, **options)
        front = load_front(self.config.model)
        self._tokenizer = front.tokenizer
        self._generation_config = front.generation_config
        self.eos_ids = front.eos_ids
        self._engine = Engine(self.config, Host.from_selection(self.config.plugins.plugins))
        self.info: WorkerInfo = self._engine.start()
        draw = random.Random(self.config.model.seed)
        self._inputs = InputProcessor(self.info, front.tokenizer, front.eos_ids, draw)
        self._ids = itertools.count()

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        """One RequestOutput per prompt, in order. Raises RequestError for the first bad one."""
        batch = _as_batch(prompts)
        params = self._params_for(batch, sampling_params)
        requests = [
            self._inputs.request(str(next(self._ids)), prompt, p)
            for prompt, p in zip(batch, params, strict=True)
        ]
        texts = [prompt if isinstance(prompt, str) else None for prompt in batch]
        return self._run(requests, texts, use_tqdm)

    def chat(
        self,
        messages: list[Message] | list[list[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        add_generation_prompt: bool = True,
        **template_options: Any,
    ) -> list[RequestOutput]:
        """Render conversations with the model's chat template and generate the next turn."""
        if not messages:
            raise RequestError("messages is empty; give at least one message", "messages")
        conversations = _as_conversations(messages)
        tokenizer = self.get_tokenizer()
        prompts: list[Prompt] = []
        for conversation in conversations:
            text = tokenizer.apply_chat_template(
                conversation, add_generation_prompt=add_generation_prompt, **template_options
            )
            prompts.append(tokenizer.encode(text, add_special_tokens=False))
        return self.generate(prompts, sampling_params, use_tqdm=use_tqdm)

    def beam_search(
        self, prompts: Sequence[Prompt], params: BeamSearchParams
    ) -> list[BeamSearchOutput]:
        """The `beam_width` most likely continuations of each prompt."""
        return beam_search(self, prompts, params)

    def get_tokenizer(self) -> Tokenizer:
        """Raises UsageError when the engine runs without one."""
        if self._tokenizer is None:
            raise UsageError("this LLM was made with skip_tokenizer_init; it has no tokenizer")
        return self._tokenizer

    def get_default_sampling_params(self) -> SamplingParams:
        """What the checkpoint's generation_config.json asks for."""
        names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
        chosen = {n: v for n in names if (v := self._generation_config.get(n)) is not None}
        return SamplingParams(**chosen)

    def reset_prefix_cache(self) -> None:
        self._engine.reset_prefix_cache()

    def shutdown(self) -> None:
        """Release the workers and the memory; idempotent."""
        self._engine.stop()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _params_for(
        self, batch: list[Prompt], given: SamplingParams | Sequence[SamplingParams] | None
    ) -> list[SamplingParams]:
        if given is None:
            given = self.get_default_sampling_params()
        if isinstance(given, SamplingParams):
            return [given] * len(batch)
        if len(given) != len(batch):
            raise UsageError(f"{len(batch)} prompts but {len(given)} sampling_params were given")
        return list(given)

    def _run(
        self, requests: list[Request], texts: list[str | None], show: bool
    ) -> list[RequestOutput]:
        states = {
            request.request_id: RequestState(request, text, self._tokenizer)
            for request, text in zip(requests, texts, strict=True)
        }
        finals = {key: _empty_output(state) for key, state in states.items()}
        waiting = iter(requests)
        try:
            with Progress(len(requests), show) as progress:
                self._admit(waiting)
                while self._engine.has_work:
                    self._step(states, finals, progress)
                    self._admit(waiting)
        except BaseException:
            for request in requests:
                self._engine.abort(request.request_id)
            raise
        return [finals[request.request_id] for request in requests]

    def _admit(self, waiting: Iterable[Request]) -> None:
        """Keep the scheduler's queue filled, within its bound."""
        room = self.config.scheduler.max_num_queued_reqs - self._engine.stats().num_waiting
        for request in itertools.islice(waiting, max(0, room // 2)):
            self._engine.add(request)

    def _step(
        self,
        states: dict[str, RequestState],
        finals: dict[str, RequestOutput],
        progress: Progress,
    ) -> None:
        for output in self._engine.step():
            state = states.get(output.request_id)
            fed = state.feed(output) if state else None
            if fed is None:
                continue
            news, abort = fed
            if abort:
                self._engine.abort(output.request_id, output.index)
            _merge(finals[output.request_id], news)
            progress.advance(len(output.token_ids), news.finished)


def _as_batch(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    if isinstance(prompts, str):
        return [prompts]  # type: ignore[list-item]
    if prompts and isinstance(prompts[0], int):
        return [prompts]  # type: ignore[list-item]
    return list(prompts)  # type: ignore[arg-type]


def _as_conversations(messages: list[Message] | list[list[Message]]) -> list[list[Message]]:
    if isinstance(messages[0], dict):
        return [messages]
    return messages


def _empty_output(state: RequestState) -> RequestOutput:
    params = state.request.params
    return RequestOutput(
        request_id=state.request.request_id,
        prompt=state.prompt,
        prompt_token_ids=state.request.prompt_ids,
        outputs=[
            CompletionOutput(
                index=i,
                text="",
                token_ids=[],
                logprobs=[] if params.logprobs is not None else None,
                cumulative_logprob=0.0 if params.logprobs is not None else None,
            )
            for i in range(params.n)
        ],
        finished=False,
    )


def _merge(final: RequestOutput, news: RequestOutput) -> None:
    """Add a delta to the accumulated output."""
    for delta in news.outputs:
        sample = final.outputs[delta.index]
        sample.text += delta.text
        sample.token_ids = sample.token_ids + delta.token_ids
        if delta.logprobs and sample.logprobs is not None:
            sample.logprobs += delta.logprobs
            chosen = [next(iter(entry.values())).logprob for entry in delta.logprobs]
            sample.cumulative_logprob = (sample.cumulative_logprob or 0.0) + sum(chosen)
        sample.finish_reason = delta.finish_reason
        sample.stop_reason = delta.stop_reason
        sample.error = delta.error
    final.finished = news.finished
    final.prompt_logprobs = news.prompt_logprobs or final.prompt_logprobs
    final.num_cached_tokens = news.num_cached_tokens
