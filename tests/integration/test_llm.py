"""LLM as vLLM's users call it: prompts of every form, chat, text, the progress bar."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest

from inferd import LLM, SamplingParams
from inferd.errors import ContextTooLong, NotInThisVersion, RequestError, UsageError

TEXT = "wörld 你好、世界 👩‍👩‍👧‍👦🇩🇪 ok"
GREEDY = SamplingParams(temperature=0.0, max_tokens=6, ignore_eos=True)


def test_prompts_of_every_form(shared_llm: LLM) -> None:
    ids = shared_llm.get_tokenizer().encode("hello")
    forms: list[Any] = ["hello", ids, {"prompt": "hello"}, {"prompt_token_ids": ids}]
    outputs = shared_llm.generate(prompts=forms, sampling_params=GREEDY, use_tqdm=False)
    assert [o.prompt for o in outputs] == ["hello", None, "hello", None]
    assert [o.prompt_token_ids for o in outputs] == [ids] * 4
    assert len({tuple(o.outputs[0].token_ids) for o in outputs}) == 1
    assert len({o.request_id for o in outputs}) == 4
    for form in forms:
        assert shared_llm.generate(form, GREEDY)[0].outputs == outputs[0].outputs


def test_steps_are_as_long_as_there_is_work_for(shared_llm: LLM) -> None:
    """On CPUs a server's are not."""
    assert shared_llm._engine._scheduler.options.short_step_tokens == 0


def test_no_prompts(shared_llm: LLM) -> None:
    assert shared_llm.generate([], GREEDY) == []


def test_each_prompt_may_have_its_own_params(shared_llm: LLM) -> None:
    params = [SamplingParams(max_tokens=n, ignore_eos=True) for n in (1, 3)]
    outputs = shared_llm.generate(["a", "b"], params)
    assert [len(o.outputs[0].token_ids) for o in outputs] == [1, 3]
    with pytest.raises(UsageError, match="2 prompts but 1 sampling_params"):
        shared_llm.generate(["a", "b"], params[:1])
    with pytest.raises(UsageError, match="2 prompts but 3 priority"):
        shared_llm.generate(["a", "b"], GREEDY, priority=[1, 2, 3])


def test_priorities(make_llm: Any) -> None:
    """With one row, the smallest runs first; the order of the outputs stays that of the prompts."""
    llm = make_llm(max_num_seqs=1, scheduling_policy="priority")
    order: list[str] = []
    submit = llm._engine._executor.forward
    llm._engine._executor.forward = lambda plan: (
        order.extend(start.request_id for start in plan.new_rows),
        submit(plan),
    )
    outputs = llm.generate(["a", "b", "c"], GREEDY, priority=[5, -1, 2])
    assert order == [outputs[i].request_id for i in (1, 2, 0)]


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        ("", "prompt"),
        ([], "prompt"),
        ([1.5], "prompt"),
        ([True, 2], "prompt"),
        ([-1], "prompt"),
        ([320], "prompt"),
        ("\ud800", "prompt"),
        (None, "prompt"),
        ({"text": "a"}, "prompt"),
        ({"prompt": "a", "cache_salt": 5}, "cache_salt"),
    ],
)
def test_bad_prompts(shared_llm: LLM, prompt: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        shared_llm.generate(["fine", prompt], GREEDY)
    assert caught.value.param == param
    assert not shared_llm._engine.has_work


def test_a_prompt_longer_than_the_context(make_llm: Any) -> None:
    with pytest.raises(ContextTooLong, match=r"64 tokens and .* context length is 64"):
        make_llm(max_model_len=64).generate([[1] * 64], GREEDY)


@pytest.mark.parametrize("name", ["logit_bias", "stop_token_ids", "allowed_token_ids"])
def test_ids_outside_the_vocabulary(shared_llm: LLM, name: str) -> None:
    params = SamplingParams(**{name: {320: 1.0} if name == "logit_bias" else [320]})
    with pytest.raises(RequestError, match="not in the vocabulary of 320") as caught:
        shared_llm.generate("a", params)
    assert caught.value.param == name


def test_chat(shared_llm: LLM) -> None:
    turns = [{"role": "user", "content": "hi"}]
    (output,) = shared_llm.chat(turns, GREEDY)
    assert output.prompt == "user: hi\nassistant: "
    assert output.outputs == shared_llm.generate(output.prompt, GREEDY)[0].outputs
    several = shared_llm.chat([turns, turns], GREEDY, use_tqdm=False)
    assert [o.outputs for o in several] == [output.outputs] * 2
    template = "{{ messages[0].content }}/{{ tools | length }}/{{ mood }}"
    (custom,) = shared_llm.chat(
        turns,
        GREEDY,
        chat_template=template,
        tools=[{}],
        chat_template_kwargs={"mood": "calm"},
        add_generation_prompt=False,
    )
    assert custom.prompt == "hi/1/calm"
    with pytest.raises(RequestError, match="messages is empty"):
        shared_llm.chat([], GREEDY)
    for text in ("Hi", ["Hi"], [["Hi"]]):
        with pytest.raises(RequestError, match="there is generate"):
            shared_llm.chat(text, GREEDY)


@pytest.mark.parametrize("size", range(1, len(TEXT.encode()) + 1, 3))
def test_text_is_exact_where_characters_span_tokens(shared_llm: LLM, size: int) -> None:
    """Bytes are tokens here: the model is made to say the text, cut anywhere."""
    tokenizer = shared_llm.get_tokenizer()
    wanted = tokenizer.encode(TEXT)[:size]
    shown = say(shared_llm, wanted)
    assert shown == tokenizer.decode(wanted)


def say(llm: LLM, ids: list[int]) -> str:
    """The text of a sample with these token ids."""
    from inferd.engine.output_processor import RequestState
    from inferd.types import SequenceOutput

    request = llm._inputs.request("r", "a", SamplingParams(max_tokens=None))
    state = RequestState(request, "a", llm.get_tokenizer())
    text = ""
    for place, token_id in enumerate(ids):
        reason = "length" if place == len(ids) - 1 else None
        fed = state.feed(SequenceOutput("r", 0, [token_id], reason))
        assert fed is not None
        text += fed[0].outputs[0].text
    return text


def test_skip_tokenizer_init(make_llm: Any, shared_llm: LLM) -> None:
    llm = make_llm(skip_tokenizer_init=True)
    (output,) = llm.generate([[1, 2, 3]], GREEDY)
    assert output.outputs[0].text == ""
    assert (
        output.outputs[0].token_ids
        == shared_llm.generate([[1, 2, 3]], GREEDY)[0].outputs[0].token_ids
    )
    for call in (
        lambda: llm.generate("text", GREEDY),
        lambda: llm.generate([[1]], SamplingParams(stop=["x"])),
        lambda: llm.generate([[1]], SamplingParams(bad_words=["x"])),
        lambda: llm.chat([{"role": "user", "content": "x"}]),
        llm.get_tokenizer,
    ):
        with pytest.raises(UsageError, match="skip_tokenizer_init"):
            call()


def test_no_text_without_detokenizing(shared_llm: LLM) -> None:
    params = SamplingParams(temperature=0.0, max_tokens=4, ignore_eos=True, detokenize=False)
    (output,) = shared_llm.generate("hello", params)
    assert (output.outputs[0].text, len(output.outputs[0].token_ids)) == ("", 4)


def test_the_progress_bar_is_for_terminals(
    shared_llm: LLM, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_llm.generate("a", GREEDY, use_tqdm=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shared_llm.generate("a", GREEDY, use_tqdm=False)
    assert capsys.readouterr() == ("", "")
    shared_llm.generate("a", GREEDY)
    assert "tok/s" in capsys.readouterr().err


def test_vllms_option_names(make_llm: Any) -> None:
    llm = make_llm(
        tokenizer=None,
        revision=None,
        quantization=None,
        load_format="auto",
        seed=3,
        max_model_len=100,
        gpu_memory_utilization=0.5,
        enable_prefix_caching=False,
        enable_chunked_prefill=True,
        tensor_parallel_size=1,
    )
    assert llm.info.max_model_len == 100
    with pytest.raises(UsageError, match="max_model_len"):
        make_llm(max_model_length=100)
    with pytest.raises(NotInThisVersion, match="tensor parallelism"):
        make_llm(tensor_parallel_size=2)


def test_requests_without_a_seed_follow_the_engines(make_llm: Any) -> None:
    params = SamplingParams(max_tokens=20, ignore_eos=True)
    found = [
        [o.outputs[0].token_ids for o in make_llm(seed=seed).generate(["a", "a"], params)]
        for seed in (3, 3, 4)
    ]
    assert found[0] == found[1] != found[2]
    assert found[0][0] != found[0][1]


def test_default_sampling_params(make_llm: Any, checkpoints: Any, tmp_path: Any) -> None:
    import shutil

    path = shutil.copytree(checkpoints["LlamaForCausalLM"], tmp_path / "model")
    (path / "generation_config.json").write_text('{"temperature": 0.5, "top_k": 7}')
    with LLM(str(path), dtype="float32", num_blocks=64) as llm:
        params = llm.get_default_sampling_params()
        assert (params.temperature, params.top_k, params.max_tokens) == (0.5, 7, 16)
        assert len(llm.generate("a")[0].outputs[0].token_ids) <= 16


def test_a_closed_engine_lets_go_of_its_model_and_cache(make_llm: Any) -> None:
    """At once, not at some later collection: the next engine needs the memory."""
    llm: LLM = make_llm()
    llm.generate([[1, 2, 3]], SamplingParams(max_tokens=2))
    runner = weakref.ref(llm._engine._executor._runner)  # type: ignore[attr-defined]
    gc.collect()
    gc.disable()
    try:
        llm.shutdown()
        assert runner() is None
    finally:
        gc.enable()
