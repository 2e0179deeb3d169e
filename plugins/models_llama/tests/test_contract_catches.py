"""ModelContract, held against Llamas with one thing wrong each: none of them passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.layers import Embedding, Parts, PreNormBlock, QKNormAttention
from inferd.testing import ModelContract
from inferd.testing.one_thread import OneThread
from inferd.testing.parity import DIFFERENT, WAYS, distance, load
from inferd.testing.tiny import FAMILIES
from inferd_models_llama.llama import LlamaForCausalLM
from inferd_models_llama.mistral import MistralForCausalLM
from inferd_models_llama.qwen3 import Qwen3ForCausalLM


def shaped(base, change):
    """A family that reads its configuration as `change` makes of the right shape."""

    class Wrong(base):
        @classmethod
        def read_shape(cls, hf):
            return change(super().read_shape(hf), hf)

    return Wrong


def fixed_theta(base):
    class Wrong(base):
        def __init__(self, build):
            hf = {**build.config.hf, "rope_theta": 10000.0}
            super().__init__(replace(build, config=replace(build.config, hf=hf)))

    return Wrong


class SwappedNorms(LlamaForCausalLM):
    class Block(PreNormBlock):
        def forward(self, x, residual, batch, cache):
            x, residual = self.post_attention_layernorm(x, residual)
            x = self.self_attn(x, batch, cache)
            x, residual = self.input_layernorm(x, residual)
            return self.mlp(x), residual

    parts = Parts(block=Block)


class ResidualOfTheNorm(LlamaForCausalLM):
    class Block(PreNormBlock):
        def forward(self, x, residual, batch, cache):
            out, residual = super().forward(x, residual, batch, cache)
            return out, residual * 1.01

    parts = Parts(block=Block)


class PositionsFromZero(LlamaForCausalLM):
    """Right for a whole prompt, wrong for every later chunk."""

    def forward(self, batch, caches):
        spans = [torch.arange(count) for count in batch.query_lens]
        return super().forward(replace(batch, positions_T=torch.cat(spans)), caches)


class OneGroupForAll(Qwen3ForCausalLM):
    def set_groups(self, groups):
        super().set_groups([0] * len(groups))


class NoQKNorm(Qwen3ForCausalLM):
    class Attention(QKNormAttention):
        def forward(self, x, batch, cache):
            return self.o_proj(self.attn(self.qkv_proj(x), batch, cache))

    parts = Parts(attention=Attention)


def contract(kind, family="LlamaForCausalLM", off=(), **attributes):
    config = {**FAMILIES[family], **dict(off)}
    attributes |= {"plugin": "llama", "architecture": family, "config": config}
    made = type("Planted", (ModelContract,), attributes)()
    made.implementation = lambda: kind
    return made


def far_ways(made):
    far = set()
    for way in WAYS:
        try:
            made.test_parity("base", way)
        except AssertionError:
            far.add(way)
    return far


MISTRAL, QWEN3 = "MistralForCausalLM", "Qwen3ForCausalLM"


class TestParity(OneThread):
    @pytest.mark.parametrize(
        ("kind", "family"),
        [
            (shaped(LlamaForCausalLM, lambda s, hf: replace(s, norm_eps=1e-6)), "LlamaForCausalLM"),
            (shaped(LlamaForCausalLM, lambda s, hf: replace(s, tied=True)), "LlamaForCausalLM"),
            (fixed_theta(LlamaForCausalLM), "LlamaForCausalLM"),
            (SwappedNorms, "LlamaForCausalLM"),
            (ResidualOfTheNorm, "LlamaForCausalLM"),
            (LlamaForCausalLM, MISTRAL),
            (shaped(MistralForCausalLM, lambda s, hf: replace(s, windows=(25,) * 4)), MISTRAL),
            (OneGroupForAll, QWEN3),
            (NoQKNorm, QWEN3),
            (shaped(Qwen3ForCausalLM, lambda s, hf: replace(s, windows=(None,) * 4)), QWEN3),
        ],
    )
    def test_a_wrong_family_fails_every_way(self, kind, family):
        assert far_ways(contract(kind, family)) == set(WAYS)

    def test_what_is_wrong_in_later_chunks_only_fails_there(self):
        assert far_ways(contract(PositionsFromZero)) == {"chunked", "decode", "batched", "cached"}

    def test_the_right_ones_fail_nowhere(self):
        assert not far_ways(contract(LlamaForCausalLM))
        assert not far_ways(contract(Qwen3ForCausalLM, QWEN3))


class TestFields(OneThread):
    def test_a_field_that_is_read_and_not_used_is_reported(self):
        def ignoring(shape, hf):
            hf.get("logit_scale")
            return shape

        kind = shaped(LlamaForCausalLM, ignoring)
        with pytest.raises(AssertionError, match=r"another value.*logit_scale"):
            contract(kind).test_every_field_has_a_value_of_its_own()
        variants = {"base": {"logit_scale": 3.0}}
        with pytest.raises(AssertionError, match=r"changes nothing:.*logit_scale"):
            contract(kind, variants=variants).test_every_field_matters()

    def test_a_field_that_transformers_reads_and_this_does_not_is_reported(self):
        class NoBiases(LlamaForCausalLM):
            read_shape = MistralForCausalLM.read_shape

        made = contract(NoBiases, off={"attention_bias": False, "mlp_bias": False})
        with pytest.raises(AssertionError, match="transformers reads attention_bias, mlp_bias"):
            made.test_reads_what_transformers_reads()

    def test_an_unforeseen_error_is_reported(self):
        class Careless(LlamaForCausalLM):
            @classmethod
            def read_shape(cls, hf):
                return super().read_shape({**hf, "rms_norm_eps": float(hf["rms_norm_eps"])})

        with pytest.raises(AssertionError, match="rms_norm_eps = 'nonsense' raises ValueError"):
            contract(Careless).test_nonsense_is_refused_or_harmless("base")

    def test_a_declared_field_that_is_taken_is_reported(self):
        made = contract(LlamaForCausalLM, cannot={"hidden_act"}, mutations={"hidden_act": "gelu"})
        with pytest.raises(AssertionError, match="another value is taken"):
            made.test_what_it_cannot_is_refused()


class TestOthers(OneThread):
    def test_a_tensor_that_is_loaded_and_not_used_is_reported(self):
        class Wrong(LlamaForCausalLM):
            def __init__(self, build):
                super().__init__(build)
                self.model.layers[0].mlp.act.forward = lambda x: x.chunk(2, -1)[0]

        with pytest.raises(AssertionError, match=r"up_proj.* changes 0"):
            contract(Wrong).test_every_tensor_counts("base")

    def test_heads_of_another_size_fit_the_weights_and_not_the_logits(self):
        heads = {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 32}
        oracle = contract(LlamaForCausalLM).oracle("base")
        assert distance(load(LlamaForCausalLM, oracle, oracle.config | heads), oracle) > DIFFERENT

    def test_an_oracle_that_cannot_tell_is_reported(self):
        narrow = contract(MistralForCausalLM, MISTRAL, length=20)
        with pytest.raises(AssertionError, match="20 tokens, the window 24"):
            narrow.test_the_oracle_can_tell("base")

    def test_a_tensor_that_is_not_asked_for_is_reported(self):
        class Careless(Embedding):
            def missing(self):
                return []

        class Wrong(LlamaForCausalLM):
            def __init__(self, build):
                super().__init__(build)
                self.model.embed_tokens.__class__ = Careless

        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            contract(Wrong).test_every_tensor_is_needed_and_no_other("base")
