"""The plugin, and what its executor emits through the engine."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from inferd.config.engine import EngineConfig
from inferd.engine.engine import Engine
from inferd.errors import UsageError
from inferd.host.host import Host
from inferd.params import SamplingParams
from inferd.structured_outputs import StructuredOutputs
from inferd.testing import PluginContract
from inferd.testing.tiny_tokenizer import write_tokenizer
from inferd.types import Request

EOS = 257


class TestContract(PluginContract):
    plugin = "models_scripted"


@pytest.fixture
def make_engine(tmp_path: Path):
    """`make_engine(scripts, num_blocks=...)`: started, and stopped at the end."""
    write_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    engines = []

    def make(scripts: list[list[int]] | None, *, tokens_per_second: float = 0.0, **options):
        given = {"tokens_per_second": tokens_per_second}
        if scripts is not None:
            (tmp_path / "script.json").write_text(json.dumps(scripts))
            given["script"] = str(tmp_path / "script.json")
        chosen = {"executor": "scripted", "plugin_options": {"models_scripted": given}, **options}
        config = EngineConfig.of(str(tmp_path), **chosen)
        engine = Engine(config, Host.of(config.plugins))
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.stop()


def request(name: str, prompt: list[int], *, seed: int = 0, **params) -> Request:
    made = SamplingParams(**{"max_tokens": None, **params})
    return Request(request_id=name, prompt_ids=prompt, params=made, seed=seed, eos_ids=[EOS])


def run(engine: Engine, *requests: Request):
    """(token ids, finish reason, error) by (request, sample)."""
    for each in requests:
        engine.add(each)
    found = {}
    while engine.has_work:
        for output in engine.step():
            ids, _, _ = found.get((output.request_id, output.index), ([], None, None))
            news = (ids + output.token_ids, output.finish_reason, output.error)
            found[output.request_id, output.index] = news
    return found


def test_a_sequence_is_the_script_and_an_end(make_engine):
    engine = make_engine([[5, 6, 7]])
    found = run(engine, request("a", [1]), request("b", [9] * 5000))
    assert found == {
        ("a", 0): ([5, 6, 7, EOS], "stop", None),
        ("b", 0): ([5, 6, 7, EOS], "stop", None),
    }


def test_without_an_end_the_script_begins_anew(make_engine):
    endless = request("a", [1], ignore_eos=True, max_tokens=300)
    endless.eos_ids = []
    found = run(make_engine(None), endless)
    assert found["a", 0] == ([i % 256 for i in range(300)], "length", None)


def test_the_seed_and_the_sample_choose_the_script(make_engine):
    engine = make_engine([[5], [6], [7]])
    found = run(engine, request("a", [1], seed=1), request("b", [1], seed=5, n=2))
    assert {key: ids[0] for key, (ids, _, _) in found.items()} == {
        ("a", 0): 6,
        ("b", 0): 7,
        ("b", 1): 5,
    }


def test_preemption_changes_nothing(make_engine):
    script = list(range(1, 200))
    engine = make_engine([script], num_blocks=20, max_num_seqs=4, max_model_len=256)
    found = run(engine, *(request(str(i), [i] * 20) for i in range(4)))
    assert engine.stats().num_preemptions > 0
    assert [ids for ids, _, _ in found.values()] == [[*script, EOS]] * 4


def test_a_changed_file_counts_for_the_next_sequence(make_engine, tmp_path: Path):
    engine = make_engine([[5, 6]])
    assert run(engine, request("a", [1]))["a", 0][0] == [5, 6, EOS]
    (tmp_path / "script.json").write_text("[[7]]")
    assert run(engine, request("b", [1]))["b", 0][0] == [7, EOS]


def test_speed_is_each_sequences(make_engine):
    engine = make_engine([[5] * 20], tokens_per_second=100)
    began = time.monotonic()
    run(engine, *(request(str(i), [1]) for i in range(8)))
    assert time.monotonic() - began >= 0.2  # of 20 tokens, for all eight together


def test_a_token_that_the_grammar_forbids_fails_the_request(make_engine, tmp_path: Path):
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    engine = make_engine([tokenizer.encode(word).ids for word in ("yes", "nay")])
    choice = StructuredOutputs(choice=("yes", "no"))
    good = request("good", [1], seed=0, structured_outputs=choice)
    bad = request("bad", [1], seed=1, structured_outputs=choice)
    found = run(engine, good, bad)
    assert found["good", 0][1] == "stop"
    assert found["bad", 0][1] == "error"
    assert "does not allow the script's token" in found["bad", 0][2]


@pytest.mark.parametrize("scripts", [[], [[]], [[-1]], [[1 << 18]], {"a": 1}])
def test_a_bad_script_stops_the_start(make_engine, scripts):
    with pytest.raises(UsageError, match="the script"):
        make_engine(scripts)
