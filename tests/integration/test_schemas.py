"""SmolLM2 under twenty schemas: every output parses, satisfies its schema and ends by itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from schemas import SCHEMAS

from inferd import LLM, SamplingParams, StructuredOutputs


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM("smollm2", num_blocks=2048, max_model_len=1024, max_num_seqs=64) as made:
        yield made


def check(llm: LLM, num_samples: int) -> None:
    names = list(SCHEMAS)
    prompts = [f"An example of the JSON that describes a {name}:\n" for name in names]
    asked = [
        SamplingParams(
            structured_outputs=StructuredOutputs(json=json.dumps(SCHEMAS[name])),
            n=num_samples,
            seed=7,
            max_tokens=400,
        )
        for name in names
    ]
    for name, output in zip(names, llm.generate(prompts, asked, use_tqdm=False), strict=True):
        validator = jsonschema_rs.Draft202012Validator(SCHEMAS[name], validate_formats=True)
        assert len(output.outputs) == num_samples
        for sample in output.outputs:
            assert sample.finish_reason == "stop", (name, sample.text, sample.error)
            assert validator.is_valid(json.loads(sample.text)), (name, sample.text)


def test_some_outputs_of_each(llm: LLM) -> None:
    check(llm, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_outputs(llm: LLM) -> None:
    check(llm, 50)
