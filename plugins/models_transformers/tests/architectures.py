"""Tiny configurations of architectures that no plugin has by name, on top of tiny.BASE.

Values are not transformers' defaults where another is possible; None leaves a field out.
"""

from __future__ import annotations

from typing import Any

NO_HEAD_DIM = {"head_dim": None, "hidden_size": 96}  # it is hidden_size / num_attention_heads
TYPES = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
WINDOWS = {"sliding_window": 24, "layer_types": TYPES}
MLPS = ["dense", "sparse", "sparse", "sparse"]
ROPE_BY_TYPE = {
    "rope_theta": None,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
        "full_attention": {"rope_type": "default", "rope_theta": 900.0},
    },
}
LLAMA3 = {
    "rope_theta": None,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    },
}
LATENT = {  # keys and values made from a shared latent, of different sizes
    "head_dim": None,
    "num_key_value_heads": 6,
    "q_lora_rank": 32,
    "kv_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
}
ROUTED = {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
BERT = {
    **NO_HEAD_DIM,
    "is_decoder": True,
    "tie_word_embeddings": True,
    "layer_norm_eps": 1e-2,
    "hidden_act": "gelu_new",
    "pad_token_id": 0,
}
GPT = {"n_positions": 256, "n_embd": 96, "n_layer": 4, "n_head": 6, "n_inner": 128}

CONFIGS: dict[str, dict[str, Any]] = {
    "AXK1ForCausalLM": {
        "model_type": "axk1",
        **LATENT,
        **ROUTED,
        "n_group": 2,
        "topk_group": 1,
        "mlp_layer_types": MLPS,
    },
    "AfmoeForCausalLM": {"model_type": "afmoe", **EXPERTS, **WINDOWS, "num_shared_experts": 1},
    "ApertusForCausalLM": {"model_type": "apertus", "hidden_act": None, **LLAMA3},
    "ArceeForCausalLM": {"model_type": "arcee", "hidden_act": "relu2", "mlp_bias": True},
    "AriaTextForCausalLM": {
        "model_type": "aria_text",
        "moe_num_experts": 6,
        "moe_topk": 3,
        "moe_num_shared_experts": 1,
    },
    "BeamForCausalLM": {
        "model_type": "beam",
        **EXPERTS,
        **WINDOWS,
        "rope_theta": None,
        "mlp_layer_types": MLPS,
        "n_group": 2,
        "topk_group": 1,
        "final_logit_softcapping": 4.0,
    },
    "BertGenerationDecoder": {"model_type": "bert-generation", **BERT},
    "BertLMHeadModel": {"model_type": "bert", **BERT},
    "BioGptForCausalLM": {
        "model_type": "biogpt",
        **NO_HEAD_DIM,
        "layer_norm_eps": 1e-2,
        "hidden_act": "gelu",
        "tie_word_embeddings": True,
    },
    "BitNetForCausalLM": {"model_type": "bitnet", **NO_HEAD_DIM, "hidden_act": "relu2"},
    "CTRLLMHeadModel": {"model_type": "ctrl", **GPT, "n_inner": None, "dff": 128},
    "CwmForCausalLM": {"model_type": "cwm", **WINDOWS, **LLAMA3},
    "Dots1ForCausalLM": {
        "model_type": "dots1",
        **ROUTED,
        **WINDOWS,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    },
    "ElectraForCausalLM": {"model_type": "electra", **BERT, "embedding_size": 64},
    "Ernie4_5ForCausalLM": {"model_type": "ernie4_5", "use_bias": True},
    "Ernie4_5_MoeForCausalLM": {
        "model_type": "ernie4_5_moe",
        **NO_HEAD_DIM,
        "use_bias": True,
        "moe_intermediate_size": 48,
        "moe_k": 2,
        "moe_num_experts": 6,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
        "moe_layer_end_index": 3,
    },
    "GPTBigCodeForCausalLM": {"model_type": "gpt_bigcode", **GPT, "tie_word_embeddings": True},
    "HYV3ForCausalLM": {"model_type": "hy_v3", **EXPERTS, "mlp_layer_types": MLPS},
    "HeliumForCausalLM": {"model_type": "helium", "hidden_size": 96, "attention_bias": True},
    "HunYuanDenseV1ForCausalLM": {"model_type": "hunyuan_v1_dense", "attention_bias": True},
    "HunYuanMoEV1ForCausalLM": {"model_type": "hunyuan_v1_moe", "num_experts": 6, "moe_topk": 2},
    "HyperCLOVAXForCausalLM": {
        "model_type": "hyperclovax",
        "embedding_multiplier": 2.0,
        "logits_scaling": 0.5,
        "residual_multiplier": 0.7,
        "attention_multiplier": 0.3,
    },
    "Jais2ForCausalLM": {"model_type": "jais2", "hidden_act": "relu2", "layer_norm_eps": 1e-2},
    "Kolibri1ForCausalLM": {
        "model_type": "kolibri1",
        **WINDOWS,
        "moe_intermediate_size": 48,
        "num_experts_per_tok": 2,
        "num_local_experts": 6,
        "shared_expert_intermediate_size": 40,
    },
    "LagunaForCausalLM": {
        "model_type": "laguna",
        **EXPERTS,
        **WINDOWS,
        **ROPE_BY_TYPE,
        "shared_expert_intermediate_size": 40,
        "mlp_layer_types": MLPS,
        "num_attention_heads_per_layer": [6, 6, 6, 6],
    },
    "MellumForCausalLM": {
        "model_type": "mellum",
        **WINDOWS,
        **ROPE_BY_TYPE,
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 48,
    },
    "MiniCPM3ForCausalLM": {
        "model_type": "minicpm3",
        **LATENT,
        "scale_emb": 3,
        "scale_depth": 2.0,
        "dim_model_base": 32,
    },
    "MiniMaxM2ForCausalLM": {
        "model_type": "minimax_m2",
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
    },
    "ModernBertDecoderForCausalLM": {
        "model_type": "modernbert-decoder",
        **NO_HEAD_DIM,
        **ROPE_BY_TYPE,
        "layer_types": TYPES,
        "local_attention": 24,
        "norm_eps": 1e-2,
        "tie_word_embeddings": True,
    },
    "NanoChatForCausalLM": {"model_type": "nanochat", **NO_HEAD_DIM, "hidden_act": "relu2"},
    "PersimmonForCausalLM": {
        "model_type": "persimmon",
        **NO_HEAD_DIM,
        "hidden_act": "relu2",
        "layer_norm_eps": 1e-2,
    },
    "SeedOssForCausalLM": {"model_type": "seed_oss", "attention_out_bias": True},
    "SolarOpenForCausalLM": {
        "model_type": "solar_open",
        **ROUTED,
        "n_group": 2,
        "topk_group": 1,
        "routed_scaling_factor": 1.5,
    },
    "YoutuForCausalLM": {"model_type": "youtu", **LATENT, "rope_interleave": False},
}
FEW = ("ApertusForCausalLM", "BertLMHeadModel", "MiniCPM3ForCausalLM", "Dots1ForCausalLM")
"""One of each kind, for every run of the tests: dense, post-norm, latent, experts and windows."""
CLOSE = {
    "AXK1ForCausalLM": "DeepSeek-V3",
    "CwmForCausalLM": "Llama",
    "Ernie4_5ForCausalLM": "Llama",
    "GPTBigCodeForCausalLM": "GPT-2",
    "HyperCLOVAXForCausalLM": "Granite",
    "SeedOssForCausalLM": "Llama",
    "SolarOpenForCausalLM": "GLM-4.5",
    "YoutuForCausalLM": "DeepSeek-V3",
}
"""Those that differ from a family with a plugin of its own by a field or two."""
