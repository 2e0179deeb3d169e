"""A KV cache in FP8: half of bfloat16's bytes, the checkpoint's scales, nearly the same answers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from inferd import LLM, SamplingParams
from inferd.errors import CheckpointError
from inferd.testing.tiny import write_checkpoint

PROMPTS = [
    {"prompt_token_ids": [5 + i, 80, 200, 7, 31, 9 * i + 1, 77, 3, 150, 60 + i]} for i in range(8)
]


@pytest.fixture
def model(tmp_path):
    """Writes a checkpoint with scales of keys and values in each layer, or none.

    Its keys are so much larger, and queries smaller: in a wide cache it is the same model.
    """

    def model(larger: float = 1.0, **scales: float) -> str:
        folder = tmp_path / "_".join(map(str, (larger, *scales.values())))
        write_checkpoint(folder, num_hidden_layers=2)
        tensors = load_file(folder / "model.safetensors")
        for name in tensors:
            if "k_proj" in name:
                tensors[name] = tensors[name] * larger
            if "q_proj" in name:
                tensors[name] = tensors[name] / larger
        for layer in range(2):
            place = f"model.layers.{layer}.self_attn"
            tensors |= {f"{place}.{name}": torch.tensor([v]) for name, v in scales.items()}
        save_file(tensors, folder / "model.safetensors")
        return str(folder)

    return model


def answers(folder: str, dtype: str = "float32", **options):
    """Log probabilities of the prompts' tokens, and the start's summary."""
    params = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
    options |= {"plugins": "none,llama", "num_blocks": 64, "max_model_len": 64}
    with LLM(folder, dtype=dtype, **options) as llm:
        found = llm.generate(PROMPTS, params)
        values = [
            entry.logprob
            for output in found
            for candidates in output.prompt_logprobs[1:]
            for entry in candidates.values()
        ]
        return torch.tensor(values), llm.info.summary


def test_it_takes_half_of_bfloat16_and_says_nearly_the_same(model) -> None:
    folder = model()
    wide, before = answers(folder, "bfloat16")
    narrow, after = answers(folder, "bfloat16", kv_cache_dtype="fp8", calculate_kv_scales=False)
    assert before["kv_bytes"] == 2 * after["kv_bytes"]
    assert 0 < float((narrow - wide).abs().mean()) < 0.1


def test_scales_of_the_checkpoint_are_used(model) -> None:
    plain, _ = answers(model(), kv_cache_dtype="fp8", calculate_kv_scales=False)
    halved, _ = answers(model(k_scale=0.5, v_scale=0.25), kv_cache_dtype="fp8")
    coarse, _ = answers(model(k_scale=1.0, v_scale=4096.0), kv_cache_dtype="fp8")
    # powers of two keep the digits, but for the smallest numbers
    assert float((halved - plain).abs().max()) < 0.05
    assert float((coarse - plain).abs().max()) > 0.2


def test_scales_are_calculated_where_the_checkpoint_has_none(model) -> None:
    """Keys beyond what FP8 holds would all be its largest number."""
    wide, _ = answers(model())
    narrow = {
        calculated: answers(
            model(larger=2.0**13), kv_cache_dtype="fp8", calculate_kv_scales=calculated
        )[0]
        for calculated in (True, False)
    }
    assert 0 < float((narrow[True] - wide).abs().mean()) < 0.1
    assert float((narrow[False] - wide).abs().mean()) > 0.2


def test_those_of_the_checkpoint_are_kept(model) -> None:
    folder = model(k_scale=0.5, v_scale=0.25)
    found = [
        answers(folder, kv_cache_dtype="fp8", calculate_kv_scales=calculated)[0]
        for calculated in (True, False)
    ]
    assert torch.equal(*found)


def test_a_wide_cache_needs_no_scales(model) -> None:
    folder = model(k_scale=100.0, v_scale=3.0)
    assert torch.equal(answers(folder)[0], answers(model())[0])


def test_a_scale_that_is_none_is_refused(model) -> None:
    with pytest.raises(CheckpointError, match=r"self_attn\.v_scale is 0.0, which is no scale"):
        LLM(model(k_scale=1.0, v_scale=0.0), plugins="none,llama")
