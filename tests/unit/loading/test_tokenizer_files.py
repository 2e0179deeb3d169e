"""Tokenizers of directories: what their files say, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from texts import VARIED
from tokenizers import Tokenizer as Backend
from transformers import PreTrainedTokenizerFast

from inferd.errors import CheckpointError, InferdError, RequestError, UnsupportedModel
from inferd.loading.tokenizer import Tokenizer
from inferd.loading.tokenizer_files import read_generation
from inferd.testing.tiny_tokenizer import write_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


def change(path: Path, **fields: Any) -> None:
    stored = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(stored | fields))


@pytest.mark.parametrize("text", VARIED)
def test_a_directory_is_read_as_transformers_reads_it(folder: Path, text: str) -> None:
    ours, theirs = Tokenizer.load(folder), PreTrainedTokenizerFast.from_pretrained(folder)
    ids = ours.encode(f"<|bos|>{text}")
    assert ids == theirs.encode(f"<|bos|>{text}")
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True) == text
    assert ours.vocab_size == len(theirs)


def test_truncation_and_padding_of_the_file_are_for_training(folder: Path) -> None:
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=16)
    backend.save(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer.load(folder)
    assert len(tokenizer.encode("123456")) == 6
    assert [len(ids) for ids in tokenizer.encode_batch(["123456", "1"])] == [6, 1]


def test_special_tokens_are_texts_or_objects(folder: Path) -> None:
    change(
        folder / "tokenizer_config.json",
        bos_token={"content": "<|bos|>", "lstrip": False},
        eos_token="<|eos|>",
        unk_token=None,
        pad_token={"lstrip": False},
    )
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.special_tokens == {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (256, [257])


def test_the_generation_config_says_what_ends(folder: Path) -> None:
    change(folder / "config.json", eos_token_id=257)
    assert Tokenizer.load(folder).eos_ids == [257]
    change(folder / "generation_config.json", eos_token_id=[257, 258], temperature=0.5)
    assert Tokenizer.load(folder).eos_ids == [257, 258]
    assert read_generation(folder) == {"eos_token_id": [257, 258], "temperature": 0.5}


def test_a_template_file_goes_before_the_configuration(folder: Path) -> None:
    change(folder / "tokenizer_config.json", chat_template="from the configuration")
    assert Tokenizer.load(folder).chat_template == "from the configuration"
    (folder / "chat_template.jinja").write_text("from the file: é", encoding="utf-8")
    assert Tokenizer.load(folder).chat_template == "from the file: é"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}], "d"),
        ([{"name": "tool_use", "template": "t"}], None),
        (["x", {"nothing": 1}], None),
        (7, None),
    ],
)
def test_of_several_templates_the_default_is_taken(
    folder: Path, stored: Any, expected: str | None
) -> None:
    change(folder / "tokenizer_config.json", chat_template=stored)
    assert Tokenizer.load(folder).chat_template == expected


def test_a_directory_without_a_tokenizer_names_the_flags(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match=r"no tokenizer.json; .*--tokenizer.*--skip"):
        Tokenizer.load(tmp_path)


def test_a_directory_that_is_no_model_is_told_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"neither config.json nor .*\n  a model is") as told:
        Tokenizer.load(tmp_path)
    assert "--tokenizer" not in str(told.value)


def test_a_directory_of_gguf_files_names_the_first(tmp_path: Path) -> None:
    for name in ("b.gguf", "a.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(UnsupportedModel, match=r"try: .*/a\.gguf$"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {"type": "Unheard"}}'])
def test_a_broken_tokenizer_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"tokenizer.json cannot be read"):
        Tokenizer.load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", b"[1]"),
        ("tokenizer_config.json", b"\xff\xfe"),
        ("chat_template.jinja", b"\xff\xfe"),
        ("generation_config.json", b'{"eos_token_id": "x"}'),
        ("generation_config.json", b'{"eos_token_id": [1, null]}'),
        ("generation_config.json", b"[" * 100_000),
    ],
)
def test_broken_side_files_are_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        Tokenizer.load(folder)
    assert name.split("_config", maxsplit=1)[0] in str(caught.value) or "eos_token_id" in str(
        caught.value
    )
    assert len(str(caught.value)) < 400


def test_text_that_is_not_unicode_is_a_request_error(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    for encode in (tokenizer.encode, lambda text: tokenizer.encode_batch([text])):
        with pytest.raises(RequestError, match="not valid Unicode") as caught:
            encode("a\ud800b")
        assert isinstance(caught.value, InferdError)


def test_loading_a_tokenizer_imports_neither_torch_nor_transformers(folder: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from inferd.loading.tokenizer import Tokenizer\n"
        f"t = Tokenizer.load(Path({str(folder)!r}))\n"
        "assert t.apply_chat_template([{'role': 'user', 'content': 'x'}])\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
