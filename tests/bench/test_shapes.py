"""The benchmark's model starts with random weights in every format that it can be written in."""

from __future__ import annotations

import pytest
from bench.gpu.shapes import write_model

from inferd import LLM, SamplingParams


@pytest.mark.parametrize("quantization", ["awq", "gptq", "gguf"])
def test_packed_dummies_generate(tmp_path, quantization):
    path = str(write_model("tiny", tmp_path, quantization))
    plugins = f"none,llama,{quantization}"  # nothing is compiled
    with LLM(path, load_format="dummy", max_model_len=64, plugins=plugins) as llm:
        (output,) = llm.generate([{"prompt_token_ids": [5, 80, 7]}], SamplingParams(max_tokens=4))
        assert llm.info.summary["quantization"] == quantization
    assert output.outputs[0].token_ids
