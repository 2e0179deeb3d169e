"""GGUF files that are cut, damaged or of another kind: always an error of ours, in one screen."""

from __future__ import annotations

import random
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files import add_shape, add_vocabulary, convert, write

from inferd.config.model import ModelOptions
from inferd.errors import CheckpointError, InferdError, UnsupportedModel
from inferd.loading.checkpoint import resolve_model_config
from inferd.loading.gguf import GgufLoader
from inferd.loading.gguf_header import open_header
from inferd.loading.tokenizer import Tokenizer
from inferd.loading.tokenizer_files import read_generation
from inferd.testing.tiny import write_checkpoint

SHAPE = {
    "num_hidden_layers": 1,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e4,
}
TENSORS = {
    "token_embd.weight": (12, 32),
    "output_norm.weight": (32,),
    "blk.0.attn_norm.weight": (32,),
    "blk.0.attn_q.weight": (32, 32),
    "blk.0.attn_k.weight": (16, 32),
    "blk.0.attn_v.weight": (16, 32),
    "blk.0.ffn_gate.weight": (64, 32),
}
TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "ab", "c", "Ġ", "Ġa", "d", "e", "f"]
EXTREMES = [0, 1, 0x7F, 0xFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]
ROUNDS = 2000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    add_shape(writer, SHAPE)
    scores, types = [float(-i) for i in range(12)], [2, 3, 3, *[1] * 8, 4]
    merges = ["a b", "Ġ a"]
    add_vocabulary(writer, "gpt2", TOKENS, pre="smollm", merges=merges, scores=scores, types=types)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages[0].content }}")
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(2.0)
    for name, shape in TENSORS.items():
        kind = gguf.GGMLQuantizationType.Q4_1 if "ffn" in name else gguf.GGMLQuantizationType.F32
        data = gguf.quantize(np.ones(shape, np.float32), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.add_tensor("rope_freqs.weight", np.ones(8, np.float32))
    write(writer)
    return path.read_bytes()


def header_size(data: bytes) -> int:
    return data.index(b"rope_freqs.weight") + 48


def read_all(path: Path) -> None:
    """All that a server reads of a file."""
    loader = GgufLoader(path)
    resolve_model_config(loader, ModelOptions(), lambda dtype: dtype)
    for tensor in loader.tensors():
        tensor.unpack(torch.bfloat16)
    tokenizer = Tokenizer.load(path)
    tokenizer.decode(tokenizer.encode("ab a"))
    read_generation(path)


def damaged(data: bytes, seed: int) -> bytes:
    """Cut, bytes changed, or a field replaced; mostly in the header."""
    draw = random.Random(seed)
    size = header_size(data) if draw.random() < 0.9 else len(data)
    where = draw.randrange(size)
    if seed % 4 == 0:
        return data[:where]
    changed = bytearray(data)
    if seed % 4 == 1:
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(size)] = draw.randrange(256)
    elif seed % 4 == 2:
        changed[where] ^= 1 << draw.randrange(8)
    else:
        field = struct.pack("<Q", draw.choice(EXTREMES))[: draw.choice([4, 8])]
        changed[where : where + len(field)] = field
    return bytes(changed)


def outcomes(path: Path, files: Iterator[bytes]) -> tuple[int, list[str]]:
    """How many were read, and the messages of the others; what is not an InferdError fails."""
    read, messages = 0, []
    for data in files:
        path.write_bytes(data)
        try:
            read_all(path)
            read += 1
        except InferdError as error:
            messages.append(str(error))
    return read, messages


def test_the_sound_file_is_read(tmp_path: Path, sound: bytes) -> None:
    assert outcomes(tmp_path / "m.gguf", iter([sound])) == (1, [])


def test_damage_is_an_error_in_one_screen(tmp_path: Path, sound: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, messages = outcomes(tmp_path / "m.gguf", (damaged(sound, seed) for seed in range(ROUNDS)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert read > ROUNDS // 20, "no damage goes unnoticed: is it done where it should be?"
    assert len(messages) > ROUNDS // 3
    assert max(map(len, messages)) < 700
    assert max(message.count("\n") for message in messages) < 5
    assert grown < 200 << 10, f"{grown} KiB were taken for a file of {len(sound)} bytes"


def test_every_byte_of_the_header(tmp_path: Path, sound: bytes) -> None:
    def files() -> Iterator[bytes]:
        for place in range(header_size(sound)):
            changed = bytearray(sound)
            changed[place] ^= 0xFF
            yield bytes(changed)

    _, messages = outcomes(tmp_path / "m.gguf", files())
    assert len(messages) > 200


def replaced(sound: bytes, old: bytes, new: bytes) -> bytes:
    assert sound.count(old) == 1
    assert len(old) == len(new)
    return sound.replace(old, new)


def key(name: str, kind: int) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind)


def counts(tensors: int, entries: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "cannot be read|not a GGUF file"),
        (b"GG", "not a GGUF file"),
        (b"PK\x03\x04" + b"x" * 60, "not a GGUF file: it does not begin with 'GGUF'"),
        (b"GGUF" + struct.pack("<I", 1), "GGUF version 1 is not supported; known: 2, 3"),
        (b"GGUF" + struct.pack(">I", 3), "GGUF version 50331648 is not supported"),
        (b"GGUF" + struct.pack("<I", 3), "8 bytes wanted, 0 left"),
        (counts(1 << 60, 0), "1152921504606846976 tensors and 0 entries are too many"),
        (counts(0, 1 << 60), "are too many"),
        (counts(0, 1) + struct.pack("<Q", 1 << 62), "bytes wanted"),
        (counts(0, 1) + key("a", 99) + b"x" * 8, "unknown value type 99"),
        (counts(0, 1) + key("a", 9) + struct.pack("<IQ", 8, 1 << 60), "strings does not fit"),
        (counts(0, 1) + key("a", 9) + struct.pack("<IQ", 4, 1 << 60), "bytes wanted"),
        (counts(0, 1) + key("a", 9) + struct.pack("<IQ", 9, 1), "unknown array type 9"),
        (counts(0, 2) + (key("a", 0) + b"\0") * 2, "the key 'a' stands twice"),
    ],
)
def test_headers_that_are_none(tmp_path: Path, head: bytes, message: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(head)
    for opened in (open_header, GgufLoader):
        with pytest.raises(CheckpointError, match=message) as caught:
            opened(path)
        assert str(path) in str(caught.value)
        assert caught.value.exit_code == 5


def test_wrong_tensors_are_named(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "m.gguf"
    place = sound.index(b"blk.0.attn_q.weight") + len("blk.0.attn_q.weight") + 4
    entry = sound[place : place + 28]  # two sizes, type, offset

    def with_entry(columns: int, rows: int, kind: int, shift: int) -> bytes:
        (offset,) = struct.unpack("<Q", entry[20:])
        new = struct.pack("<QQIQ", columns, rows, kind, offset + shift)
        return sound[:place] + new + sound[place + 28 :]

    for data, message in (
        (with_entry(32, 32, 99, 0), "'blk.0.attn_q.weight' has ggml type 99; supported: F32"),
        (with_entry(32, 32, 0, 32), "expected .*: tensors overlap or leave a hole"),
        (with_entry(32, 1 << 40, 0, 0), "needs .* bytes and the file has .* truncated"),
        (with_entry(0, 32, 0, 0), "'blk.0.attn_q.weight' has an empty dimension"),
        (with_entry(32, 31, 0, 0), r"overlap or leave|shape \[31, 32\], expected \[32, 32\]"),
        (sound[:-100], "truncated, fetch it again"),
    ):
        path.write_bytes(data)
        with pytest.raises(UnsupportedModel, match=message):
            GgufLoader(path)


def test_metadata_that_does_not_fit_the_tensors(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "m.gguf"
    for name, value, message in (
        ("llama.block_count", 4, "4 layers are announced .* tensors of 1"),
        ("llama.embedding_length", 64, r"'token_embd.weight' has shape \[12, 32\], expected"),
        ("llama.attention.head_count", 4, r"'blk.0.attn_q.weight' has shape .* \[64, 32\]"),
        ("llama.feed_forward_length", 1 << 31, "'blk.0.ffn_gate.weight' has shape"),
        ("llama.rope.dimension_count", 99, "dimension_count is 99, expected a number from 1 to 16"),
        ("llama.context_length", 0, "context_length is 0, expected a number from 1"),
    ):
        place = sound.index(key(name, 4)) + len(key(name, 4))
        path.write_bytes(sound[:place] + struct.pack("<I", value) + sound[place + 4 :])
        with pytest.raises(CheckpointError, match=message):
            GgufLoader(path)


def test_an_architecture_that_is_not_known(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "m.gguf"
    word = key("general.architecture", 8) + struct.pack("<Q", 5)
    path.write_bytes(replaced(sound, word + b"llama", word + b"mamba"))
    with pytest.raises(UnsupportedModel, match="'mamba' is not supported; known: llama, qwen2"):
        GgufLoader(path)


def test_one_part_of_a_split_model(tmp_path: Path) -> None:
    config = write_checkpoint(tmp_path, num_hidden_layers=1)
    whole = convert(tmp_path, config, tmp_path / "m.gguf")
    writer = gguf.GGUFWriter(tmp_path / "part.gguf", "llama")
    writer.add_uint16("split.count", 3)
    write(writer)
    with pytest.raises(UnsupportedModel, match=r"one of 3 parts of a model; .*--merge"):
        GgufLoader(tmp_path / "part.gguf")
    assert GgufLoader(whole).config["num_hidden_layers"] == 1


def test_the_vocabulary_is_not_kept_by_a_worker(monkeypatch: Any, smollm2_file: Path) -> None:
    from inferd.loading import gguf as module

    kept: list[Any] = []
    read = module.read_header

    def spy(*args: Any, **options: Any) -> Any:
        kept.append(read(*args, **options))
        return kept[-1]

    monkeypatch.setattr(module, "read_header", spy)
    GgufLoader(smollm2_file)
    (header,) = kept
    assert header.metadata["tokenizer.ggml.tokens"] == []
    assert len(open_header(smollm2_file).metadata["tokenizer.ggml.tokens"]) == 49152
