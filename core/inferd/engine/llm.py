"""LLM: the offline API. The engine runs in this process; names follow vLLM's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine.beam_search import BeamSearchOutput, BeamSearchParams, beam_search
from inferd.engine.capacity import layout_of
from inferd.engine.engine import Engine
from inferd.engine.front import load_front
from inferd.engine.inputs import InputProcessor
from inferd.engine.output_processor import RequestState
from inferd.engine.outputs import RequestOutput
from inferd.engine.pacing import paced
from inferd.engine.progress import Progress
from inferd.engine.prompts import Message, Prompt, TokensPrompt, as_batch, as_conversations, spread
from inferd.errors import UsageError
from inferd.host.host import Host
from inferd.params import SamplingParams
from inferd.types import Request, StepStats

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer


class LLM:
    """Loads a model and generates. Options are those of EngineConfig.of, by keyword.

    Raises UsageError for unknown options or a wrong path, UnsupportedModel, DoesNotFit.
    """

    def __init__(self, model: str = "smollm2", **options: Any) -> None:
        # nobody waits for one token of a batch: steps as long as there is work for
        self.config = EngineConfig.of(model, **({"short_step_tokens": 0} | options))
        front = load_front(self.config.model)
        self._tokenizer = front.tokenizer
        self._generation_config = front.generation_config
        self.eos_ids = front.eos_ids
        self._engine = Engine(self.config, Host.of(self.config.plugins))
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
        priority: Sequence[int] | None = None,
    ) -> list[RequestOutput]:
        """One RequestOutput per prompt, in order. Raises RequestError for the first bad one.

        A request that fails while it runs has finish_reason "error" and its text in `error`.
        """
        batch = as_batch(prompts)
        if sampling_params is None:
            sampling_params = self.get_default_sampling_params()
        params = spread("sampling_params", sampling_params, len(batch))
        ranks = spread("priority", priority or 0, len(batch))
        requests = [self._request(*each) for each in zip(batch, params, ranks, strict=True)]
        return self._run(requests, [prompt.get("prompt") for prompt in batch], use_tqdm)

    def _request(self, prompt: TokensPrompt, params: SamplingParams, priority: int) -> Request:
        return self._inputs.request(
            str(next(self._ids)),
            prompt["prompt_token_ids"] if "prompt_token_ids" in prompt else prompt["prompt"],
            params,
            priority=priority,
            cache_salt=prompt.get("cache_salt", ""),
        )

    def chat(
        self,
        messages: list[Message] | list[list[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: bool = True,
        *,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: list[dict[str, Any]] | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
    ) -> list[RequestOutput]:
        """Render conversations with the model's chat template and generate the next turn."""
        tokenizer = self.get_tokenizer()
        prompts: list[Prompt] = []
        for conversation in as_conversations(messages):
            text = tokenizer.apply_chat_template(
                conversation,
                tools=tools,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                chat_template=chat_template,
                **(chat_template_kwargs or {}),
            )
            ids = tokenizer.encode_conversation(text)
            prompts.append({"prompt": text, "prompt_token_ids": ids})
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

    def stats(self) -> StepStats:
        """The engine's counters as they stand; updated in place by later steps."""
        return self._engine.stats()

    def shutdown(self) -> None:
        """Release the workers and the memory; idempotent."""
        self._engine.stop()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _run(
        self, requests: list[Request], texts: list[str | None], show: bool
    ) -> list[RequestOutput]:
        states = {
            request.request_id: RequestState(request, text, self._tokenizer)
            for request, text in zip(requests, texts, strict=True)
        }
        finals = {key: RequestOutput.empty(s.request, s.prompt) for key, s in states.items()}
        waiting = iter(self._paced(requests))
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

    def _paced(self, requests: list[Request]) -> list[Request]:
        """In the order in which they begin; steps are of as many tokens as `paced` says."""
        options = self.config.scheduler.preferring(self.info.scheduler)
        if options.enable_chunked_prefill:
            sizes = options.max_num_seqs, layout_of(self.info), self.info.max_model_len
            requests, pace = paced(requests, *sizes)
            self._engine.pace(min(pace, options.max_num_batched_tokens))
        return requests

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
            if news.outputs[0].finish_reason not in (None, "length"):
                self._engine.pace(0)  # answers are not as long as they may be
            finals[output.request_id].add(news)
            progress.advance(len(output.token_ids), news.finished)
