"""The model both engines load: a config with the shape, no weights, and a made-up tokenizer.

`python -m bench.gpu.shapes llama8b FOLDER` writes it, for `--load-format dummy`; with
`--quantization awq` as a checkpoint of that kind, in groups of 128.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

LLAMA_8B: dict[str, Any] = {  # Llama-3.1-8B
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}
TINY: dict[str, Any] = LLAMA_8B | {  # for trying the benchmark itself, on any machine
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 128,
    "vocab_size": 1280,
    "bos_token_id": 1000,
    "eos_token_id": 1001,
}
V2_LITE: dict[str, Any] = {  # DeepSeek-V2-Lite
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "hidden_size": 2048,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "q_lora_rank": None,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "first_k_dense_replace": 1,
    "topk_method": "greedy",
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": False,
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "vocab_size": 102400,
    "max_position_embeddings": 163840,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 40,
        "original_max_position_embeddings": 4096,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
    },
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 100000,
    "eos_token_id": 100001,
}
SHAPES = {"llama8b": LLAMA_8B, "v2lite": V2_LITE, "tiny": TINY}
QUANTIZATION: dict[str, dict[str, Any]] = {  # as publishers write it
    "awq": {"bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "gptq": {"bits": 4, "group_size": 128, "sym": True, "desc_act": False},
    "fp8": {"activation_scheme": "dynamic"},
    "gguf": {"storage": "gguf_q4_1"},
}
PROMPT_IDS = {
    "llama8b": 128_000,
    "v2lite": 100_000,
    "tiny": 1_000,
}  # prompts are drawn from the ids below
LETTERS = 4  # of a made-up word


def write_model(shape: str, folder: Path, quantization: str | None = None) -> Path:
    """The folder, with config.json and the files of a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(SHAPES[shape])
    if quantization is not None:
        stored = {"quant_method": quantization, **QUANTIZATION[quantization]}
        config["quantization_config"] = stored
    _write(folder / "config.json", config)
    if not (folder / "tokenizer_config.json").exists():
        _write_tokenizer(config, folder)
    return folder


def _write_tokenizer(config: dict[str, Any], folder: Path) -> None:
    """Every id is a word of four letters, so that each token of a stream can be seen."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    size = config["vocab_size"]
    words = map("".join, product(ascii_lowercase, repeat=LETTERS))
    vocab = {("Ġ" if i % 2 else "") + next(words): i for i in range(size)}
    names = {v: k for k, v in vocab.items()}
    begin, end = names[config["bos_token_id"]], names[config["eos_token_id"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (begin, end)])
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
    }
    _write(folder / "tokenizer_config.json", described)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantization", choices=QUANTIZATION)
    print(write_model(**vars(parser.parse_args())))
