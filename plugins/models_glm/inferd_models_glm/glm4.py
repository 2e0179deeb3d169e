"""GLM-4-0414: GLM-4 with norms after attention and MLP too."""

from __future__ import annotations

from inferd.layers import Parts, SandwichBlock

from .glm import GlmForCausalLM


class Glm4ForCausalLM(GlmForCausalLM):
    names = {
        "post_self_attn_layernorm": "post_attention_layernorm",
        "post_attention_layernorm": "pre_feedforward_layernorm",
        "post_mlp_layernorm": "post_feedforward_layernorm",
    }
    parts = Parts(block=SandwichBlock)
