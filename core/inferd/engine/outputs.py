"""What a caller of the engine receives. Names follow vLLM's offline API."""

from __future__ import annotations

import msgspec

from inferd.types import FinishReason, Request


class Logprob(msgspec.Struct, array_like=True, gc=False):
    """One candidate at one position: so many that a collector of cycles would be kept busy."""

    logprob: float
    rank: int  # 1 = most likely
    decoded_token: str | None = None
    token_bytes: bytes | None = None  # where they are no whole text, and that has U+FFFD


LogprobDict = dict[int, Logprob]  # token id -> candidate; the chosen token comes first


class CompletionOutput(msgspec.Struct, gc=False):
    """One sample. In a stream `text`, `token_ids` and `logprobs` hold what is new."""

    index: int
    text: str
    token_ids: list[int]
    logprobs: list[LogprobDict] | None = None
    cumulative_logprob: float | None = None
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    error: str | None = None  # with finish_reason "error"
    error_code: str | None = None  # of an error that may pass: out_of_memory

    def add(self, delta: CompletionOutput) -> None:
        """What a stream brought."""
        self.text += delta.text
        self.token_ids += delta.token_ids
        if delta.logprobs and self.logprobs is not None:
            self.logprobs += delta.logprobs
            if self.cumulative_logprob is not None:
                chosen = [next(iter(entry.values())).logprob for entry in delta.logprobs]
                self.cumulative_logprob += sum(chosen)
        self.finish_reason = delta.finish_reason
        self.stop_reason = delta.stop_reason
        self.error, self.error_code = delta.error, delta.error_code


class RequestOutput(msgspec.Struct, gc=False):
    """A request's samples: all of them offline, those that moved in a stream."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool
    prompt_logprobs: list[LogprobDict | None] | None = None
    num_cached_tokens: int = 0
    began: float = 0.0  # monotonic seconds: its prompt's first step; 0 before the first output

    @classmethod
    def empty(cls, request: Request, prompt: str | None) -> RequestOutput:
        """Nothing generated yet; `add` fills it."""
        with_logprobs = request.params.logprobs is not None
        samples = [
            CompletionOutput(
                index=index,
                text="",
                token_ids=[],
                logprobs=[] if with_logprobs else None,
                cumulative_logprob=0.0 if with_logprobs else None,
            )
            for index in range(request.params.n)
        ]
        return cls(request.request_id, prompt, request.prompt_ids, samples, finished=False)

    def add(self, news: RequestOutput) -> None:
        """What a stream brought; this may be an output of the same stream."""
        mine = {output.index: output for output in self.outputs}
        for delta in news.outputs:
            if delta.index in mine:
                mine[delta.index].add(delta)
            else:
                self.outputs.append(delta)
        self.finished = news.finished
        self.prompt_logprobs = news.prompt_logprobs or self.prompt_logprobs
        self.num_cached_tokens = news.num_cached_tokens
        self.began = news.began
