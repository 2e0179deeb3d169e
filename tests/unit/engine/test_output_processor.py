"""What a caller sees of a sequence's outputs."""

from __future__ import annotations

from inferd.engine.output_processor import RequestState
from inferd.params import SamplingParams
from inferd.types import Logprobs, Request, SequenceOutput


class Letters:
    """Token i is the i-th letter; 25 ('z') is the end-of-sequence token."""

    def stream(self, _prompt: list[int], _skip: bool) -> Letters:
        return self

    def step(self, token_id: int) -> str:
        return chr(ord("a") + token_id)

    token_text = step

    def flush(self) -> str:
        return ""


def state(**params: object) -> RequestState:
    sampling = SamplingParams(**params)  # type: ignore[arg-type]
    request = Request(request_id="r", prompt_ids=[0], params=sampling, seed=0, eos_ids=[25])
    return RequestState(request, "a", Letters())  # type: ignore[arg-type]


def test_the_end_of_sequence_token_counts_but_is_not_text() -> None:
    made = state()
    news, abort = made.feed(SequenceOutput("r", 0, [1, 25], "stop"))
    sample = news.outputs[0]
    assert (sample.text, sample.token_ids, sample.finish_reason) == ("b", [1, 25], "stop")
    assert news.finished
    assert not abort


def test_a_stop_string_ends_the_sample_and_aborts_it_in_the_engine() -> None:
    made = state(stop=["bc"])
    first, abort = made.feed(SequenceOutput("r", 0, [1]))
    assert (first.outputs[0].text, abort) == ("", False)
    second, abort = made.feed(SequenceOutput("r", 0, [2]))
    sample = second.outputs[0]
    assert (sample.text, sample.finish_reason, sample.stop_reason) == ("", "stop", "bc")
    assert abort
    assert made.feed(SequenceOutput("r", 0, [3])) is None


def test_tokens_after_a_stop_string_are_not_the_samples() -> None:
    made = state(stop=["cd"])
    news, abort = made.feed(SequenceOutput("r", 0, [1, 2, 3, 4, 5]))
    sample = news.outputs[0]
    assert (sample.text, sample.token_ids, sample.stop_reason) == ("b", [1, 2, 3], "cd")
    assert abort


def test_samples_finish_one_by_one() -> None:
    made = state(n=2)
    assert not made.feed(SequenceOutput("r", 1, [1], "length"))[0].finished
    assert made.feed(SequenceOutput("r", 0, [1], "length"))[0].finished


def test_logprobs_name_the_chosen_token_first_and_rank_the_others() -> None:
    made = state(logprobs=2)
    entry = Logprobs([3, 1, 2], [-4.0, -0.1, -0.2], rank=7)
    news, _ = made.feed(SequenceOutput("r", 0, [3], logprobs=[entry]))
    candidates = news.outputs[0].logprobs[0]
    assert [(i, c.rank, c.decoded_token) for i, c in candidates.items()] == [
        (3, 7, "d"),
        (1, 1, "b"),
        (2, 2, "c"),
    ]


class Halves(Letters):
    """Every token is half a character."""

    def token_text(self, _token_id: int) -> str:
        return "\ufffd"

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([0xC3, token_id])


def test_part_of_a_character_comes_with_its_bytes() -> None:
    request = Request(request_id="r", prompt_ids=[0], params=SamplingParams(logprobs=0), seed=0)
    for tokenizer, expected in ((Halves(), ("\ufffd", b"\xc3\x03")), (Letters(), ("d", None))):
        made = RequestState(request, "a", tokenizer)
        output = SequenceOutput("r", 0, [3], logprobs=[Logprobs([3], [-0.5], 1)])
        news, _ = made.feed(output)
        (entry,) = news.outputs[0].logprobs
        assert (entry[3].decoded_token, entry[3].token_bytes) == expected
