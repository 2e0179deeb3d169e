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
GROUPED = {"n_group": 2, "topk_group": 1}
GEMMA = {**WINDOWS, **ROPE_BY_TYPE, "final_logit_softcapping": 4.0}
PER_LAYER_INPUTS = {"vocab_size_per_layer_input": 320, "hidden_size_per_layer_input": 16}
UNEQUAL = {"global_head_dim": 32, "num_global_key_value_heads": 1}  # pages of two shapes
MULTIPLIERS = {
    "embedding_multiplier": 2.0,
    "logits_scaling": 0.5,
    "residual_multiplier": 0.7,
    "attention_multiplier": 0.3,
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
    "Cohere2MoeForCausalLM": {
        "model_type": "cohere2_moe",
        **EXPERTS,
        **WINDOWS,
        "layer_norm_eps": 1e-2,
        "logit_scale": 1.0,
    },
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
    "ExaoneMoeForCausalLM": {
        "model_type": "exaone_moe",
        **EXPERTS,
        **WINDOWS,
        **GROUPED,
        "num_shared_experts": 1,
        "mlp_layer_types": MLPS,
    },
    "FlexOlmoForCausalLM": {"model_type": "flex_olmo", **EXPERTS},
    "GPTBigCodeForCausalLM": {"model_type": "gpt_bigcode", **GPT, "tie_word_embeddings": True},
    "Gemma3nForCausalLM": {
        "model_type": "gemma3n_text",
        **GEMMA,
        **PER_LAYER_INPUTS,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "laurel_rank": 8,
        "altup_num_inputs": 2,
        "intermediate_size": [128] * 4,
        "activation_sparsity_pattern": [0.5, 0.0, 0.5, 0.0],
    },
    "Gemma4ForCausalLM": {
        "model_type": "gemma4_text",
        **GEMMA,
        **PER_LAYER_INPUTS,
        **UNEQUAL,
        "num_kv_shared_layers": 1,
    },
    "Gemma4UnifiedForCausalLM": {"model_type": "gemma4_unified_text", **GEMMA, **UNEQUAL},
    "Glm4MoeLiteForCausalLM": {
        "model_type": "glm4_moe_lite",
        **LATENT,
        **ROUTED,
        **GROUPED,
        "n_shared_experts": 1,
        "mlp_layer_types": MLPS,
    },
    "GraniteMoeHybridForCausalLM": {  # without a recurrent layer, as the smallest of them
        "model_type": "granitemoehybrid",
        **MULTIPLIERS,
        "layer_types": ["attention"] * 4,
        "mamba_n_heads": 12,
        "num_local_experts": 0,
        "shared_intermediate_size": 128,
    },
    "GraniteMoeSharedForCausalLM": {
        "model_type": "granitemoeshared",
        **MULTIPLIERS,
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 40,
    },
    "HYV3ForCausalLM": {"model_type": "hy_v3", **EXPERTS, "mlp_layer_types": MLPS},
    "HeliumForCausalLM": {"model_type": "helium", "hidden_size": 96, "attention_bias": True},
    "HunYuanDenseV1ForCausalLM": {"model_type": "hunyuan_v1_dense", "attention_bias": True},
    "HunYuanMoEV1ForCausalLM": {"model_type": "hunyuan_v1_moe", "num_experts": 6, "moe_topk": 2},
    "HyperCLOVAXForCausalLM": {"model_type": "hyperclovax", **MULTIPLIERS},
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
    "MiniMaxM3VLForCausalLM": {
        "model_type": "minimax_m3_vl_text",
        "num_local_experts": 6,
        "num_experts_per_tok": 2,
    },
    "Ministral3ForCausalLM": {
        "model_type": "ministral3",
        "rope_theta": None,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 900.0,
            "factor": 8.0,
            "original_max_position_embeddings": 32,
            "llama_4_scaling_beta": 0.3,
        },
    },
    "MinistralForCausalLM": {"model_type": "ministral", **WINDOWS},
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
    "VaultGemmaForCausalLM": {
        "model_type": "vaultgemma",
        **WINDOWS,
        "query_pre_attn_scalar": 32,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 4.0,
    },
    "YoutuForCausalLM": {"model_type": "youtu", **LATENT, "rope_interleave": False},
}
FEW = (
    *("ApertusForCausalLM", "BertLMHeadModel", "MiniCPM3ForCausalLM", "Dots1ForCausalLM"),
    "Gemma4ForCausalLM",
)
"""One of each kind, for every run of the tests: dense, post-norm, latent, experts and windows,
pages of two shapes."""
CLOSE = {
    "AXK1ForCausalLM": "DeepSeek-V3",
    "Cohere2MoeForCausalLM": "Command-A",
    "CwmForCausalLM": "Llama",
    "Ernie4_5ForCausalLM": "Llama",
    "ExaoneMoeForCausalLM": "EXAONE 4",
    "FlexOlmoForCausalLM": "OLMoE",
    "GPTBigCodeForCausalLM": "GPT-2",
    "Glm4MoeLiteForCausalLM": "DeepSeek-V3",
    "GraniteMoeHybridForCausalLM": "Granite",
    "GraniteMoeSharedForCausalLM": "Granite MoE",
    "HyperCLOVAXForCausalLM": "Granite",
    "Ministral3ForCausalLM": "Mistral",
    "MinistralForCausalLM": "Mistral",
    "SeedOssForCausalLM": "Llama",
    "SolarOpenForCausalLM": "GLM-4.5",
    "VaultGemmaForCausalLM": "Gemma 2",
    "YoutuForCausalLM": "DeepSeek-V3",
}
"""Those that differ from a family with a plugin of its own by a field or two."""
