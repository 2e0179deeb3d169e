"""The checkpoint writer: files that transformers reads without a remark, weights that can tell."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from inferd.loading.safetensors import SafetensorsLoader
from inferd.testing.one_thread import OneThread
from inferd.testing.tiny import FAMILIES, draw, tiny_config, write_checkpoint


class TestFiles(OneThread):
    @pytest.mark.parametrize("tied", [False, True])
    @pytest.mark.parametrize("architecture", FAMILIES)
    def test_transformers_finds_all_it_needs_and_nothing_else(self, tmp_path, architecture, tied):
        write_checkpoint(tmp_path, architecture, tie_word_embeddings=tied, num_hidden_layers=2)
        model, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(info.values()), info
        assert type(model).__name__ == architecture
        with torch.inference_mode():
            logits = model(torch.arange(40).unsqueeze(0)).logits
        assert logits.std() > 1

    def test_the_loader_reads_what_was_drawn(self, tmp_path):
        config = write_checkpoint(tmp_path, num_hidden_layers=1, seed=3)
        loader = SafetensorsLoader(tmp_path)
        assert loader.config == config == json.loads((tmp_path / "config.json").read_text())
        for tensor in loader.tensors():
            assert torch.equal(tensor.data, draw(tensor.name, tensor.shape, 3))

    def test_the_tokenizer_has_one_token_per_byte(self, tmp_path):
        write_checkpoint(tmp_path, num_hidden_layers=1)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        for text in ("plain", "naïve 漢字 🙂", " two  spaces\n"):
            ids = tokenizer.encode(text, add_special_tokens=False)
            assert len(ids) == len(text.encode())
            assert tokenizer.decode(ids) == text
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
            256,
            257,
            258,
        )
        messages = [{"role": "user", "content": "hi"}]
        shown = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert shown == "user: hi\nassistant: "


def test_a_field_given_as_none_is_left_out():
    assert "head_dim" not in tiny_config("LlamaForCausalLM", head_dim=None)
    assert tiny_config("LlamaForCausalLM", head_dim=8)["head_dim"] == 8


def test_a_tensor_is_the_same_whatever_else_is_drawn_and_another_for_each_seed():
    assert torch.equal(draw("a.weight", (3, 4), 0), draw("a.weight", (3, 4), 0))
    assert not torch.equal(draw("a.weight", (3, 4), 0), draw("a.weight", (3, 4), 1))
    assert not torch.equal(draw("a.weight", (3, 4), 0), draw("b.weight", (3, 4), 0))
