"""From SequenceOutputs to RequestOutputs: text, stop strings and log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.engine.detokenizer import Detokenizer
from inferd.engine.outputs import CompletionOutput, Logprob, LogprobDict, RequestOutput
from inferd.types import Logprobs, Request, SequenceOutput

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer


class RequestState:
    """One request in a front end. Fed with the engine's outputs, it returns what is new."""

    def __init__(self, request: Request, prompt: str | None, tokenizer: Tokenizer | None) -> None:
        params = request.params
        self.request = request
        self.prompt = prompt
        self._tokenizer = tokenizer if params.detokenize else None
        self._detokenizers = self._make_detokenizers()
        self._open = params.n
        self._finished = [False] * params.n
        self.num_cached_tokens = 0
        self.began = 0.0

    def _make_detokenizers(self) -> list[Detokenizer]:
        """One per sample; none when the caller wants token ids only."""
        if self._tokenizer is None:
            return []
        params, prompt = self.request.params, self.request.prompt_ids
        return [
            Detokenizer(
                self._tokenizer.stream(prompt, params.skip_special_tokens),
                params.stop,
                params.include_stop_str_in_output,
                params.min_tokens,
            )
            for _ in range(params.n)
        ]

    @property
    def finished(self) -> bool:
        return self._open == 0

    def feed(self, output: SequenceOutput) -> tuple[RequestOutput, bool] | None:
        """What is new, and whether the engine must be told to end this sample (a stop string).

        None for what arrives after the sample ended: tokens computed ahead of the news.
        """
        if self._finished[output.index]:
            return None
        completion, abort = self._completion(output)
        if completion.finish_reason is not None:
            self._finished[output.index] = True
            self._open -= 1
        self.num_cached_tokens = max(self.num_cached_tokens, output.num_cached)
        self.began = self.began or output.began
        news = RequestOutput(
            request_id=self.request.request_id,
            prompt=self.prompt,
            prompt_token_ids=self.request.prompt_ids,
            outputs=[completion],
            finished=self.finished,
            prompt_logprobs=self._prompt_logprobs(output),
            num_cached_tokens=self.num_cached_tokens,
            began=self.began,
        )
        return news, abort

    def _completion(self, output: SequenceOutput) -> tuple[CompletionOutput, bool]:
        text, stop = self._text(output)
        logprobs = None
        if output.logprobs is not None:
            logprobs = [self._candidates(entry) for entry in output.logprobs]
        token_ids = output.token_ids
        if stop is not None:
            token_ids = token_ids[: self._detokenizers[output.index].num_used]
        ended_here = stop is not None and output.finish_reason is None
        completion = CompletionOutput(
            index=output.index,
            text=text,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason="stop" if stop is not None else output.finish_reason,
            stop_reason=stop if stop is not None else output.stop_reason,
            error=output.error,
            error_code=output.error_code,
        )
        return completion, ended_here

    def _text(self, output: SequenceOutput) -> tuple[str, str | None]:
        if not self._detokenizers:
            return "", None
        detokenizer = self._detokenizers[output.index]
        token_ids = output.token_ids
        by_token = output.finish_reason == "stop"
        if by_token and not self.request.params.include_stop_str_in_output:
            token_ids = token_ids[:-1]  # the stop token itself is not part of the text
        text, stop = detokenizer.feed(token_ids)
        if stop is None and output.finish_reason is not None:
            tail, stop = detokenizer.finish()
            text += tail
        return text, stop

    def _candidates(self, entry: Logprobs) -> LogprobDict:
        """The chosen token first; the others are ranked by their order."""
        found: LogprobDict = {}
        for place, (token_id, value) in enumerate(zip(entry.token_ids, entry.values, strict=True)):
            rank = entry.rank if place == 0 else place
            found.setdefault(token_id, self._candidate(token_id, value, rank))
        return found

    def _candidate(self, token_id: int, value: float, rank: int) -> Logprob:
        if self._tokenizer is None:
            return Logprob(value, rank)
        text = self._tokenizer.token_text(token_id)
        raw = self._tokenizer.token_bytes(token_id) if "\ufffd" in text else None
        return Logprob(value, rank, text, raw)

    def _prompt_logprobs(self, output: SequenceOutput) -> list[LogprobDict | None] | None:
        if output.prompt_logprobs is None:
            return None
        return [self._candidates(e) if e is not None else None for e in output.prompt_logprobs]
