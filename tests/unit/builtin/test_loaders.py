"""Core's own loaders keep the contract."""

from __future__ import annotations

import json

import gguf
import torch
from safetensors.torch import save_file

from inferd.loading.gguf_names import LAYER, PERMUTED, TOP
from inferd.testing import LoaderContract


def write_json(path, config, generation_config):
    (path / "config.json").write_text(json.dumps(config))
    (path / "generation_config.json").write_text(json.dumps(generation_config))


class TestSafetensors(LoaderContract):
    plugin = "builtin"
    load_format = "safetensors"

    def write(self, path, tensors, config, generation_config):
        write_json(path, config, generation_config)
        save_file(dict(tensors), path / "model.safetensors")
        return path


class TestSharded(LoaderContract):
    plugin = "builtin"
    load_format = "safetensors"

    def write(self, path, tensors, config, generation_config):
        write_json(path, config, generation_config)
        weight_map = {}
        for shard in range(3):
            file = f"model-{shard}-of-3.safetensors"
            names = list(tensors)[shard::3]
            save_file({name: tensors[name] for name in names}, path / file)
            weight_map |= dict.fromkeys(names, file)
        index = {"metadata": {}, "weight_map": weight_map}
        (path / "model.safetensors.index.json").write_text(json.dumps(index))
        return path


class TestDummy(LoaderContract):
    plugin = "builtin"
    load_format = "dummy"
    cannot = {"tensors", "generation_config"}

    def write(self, path, tensors, config, generation_config):
        (path / "config.json").write_text(json.dumps(config))
        return path


class TestGguf(LoaderContract):
    plugin = "builtin"
    load_format = "gguf"
    cannot = {"generation_config"}

    def write(self, path, tensors, config, generation_config):
        file = path / "model.gguf"
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_block_count(config["num_hidden_layers"])
        writer.add_context_length(config["max_position_embeddings"])
        writer.add_embedding_length(config["hidden_size"])
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_head_count(config["num_attention_heads"])
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_key_length(config["head_dim"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(config["rope_theta"])
        for name, tensor in tensors.items():
            add_tensor(writer, gguf_name(name), tensor, config)
        for write in ("header", "kv_data", "tensors"):
            getattr(writer, f"write_{write}_to_file")()
        writer.close()
        return file


def gguf_name(name):
    names = {hf: stem for stem, hf in TOP.items()} | {hf: stem for stem, hf in LAYER.items()}
    path, _, suffix = name.rpartition(".")
    if path in names:
        return f"{names[path]}.{suffix}"
    _, _, layer, inner = path.split(".", 3)
    return f"blk.{layer}.{names[inner]}.{suffix}"


def add_tensor(writer, name, tensor, config):
    part = name.split(".")[-2]
    if part in PERMUTED:  # llama.cpp wants the halves of a head interleaved
        heads = config[PERMUTED[part]]
        rows = tensor.view(heads, 2, -1, *tensor.shape[1:])
        tensor = rows.transpose(1, 2).reshape(tensor.shape)
    if tensor.dtype is torch.bfloat16:
        raw = tensor.contiguous().view(torch.uint8).numpy()
        writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, tensor.contiguous().numpy())
