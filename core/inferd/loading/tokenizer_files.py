"""Reads what a tokenizer consists of from a directory or a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading.gguf_header import open_header
from inferd.loading.gguf_names import end_ids, ends_by_name, token_id
from inferd.loading.gguf_tokenizer import build_tokenizer
from inferd.loading.mapped import read_json, read_text

if TYPE_CHECKING:
    import tokenizers

GGUF_SPECIAL = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
}
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    backend: tokenizers.Tokenizer
    chat_template: str | None
    special_tokens: dict[str, str]
    eos_ids: list[int]
    response_template: dict[str, Any] | None = None  # transformers', of how answers are written


def read_directory(folder: Path) -> TokenizerFiles:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise UnsupportedModel(_no_tokenizer(folder))
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from None
    backend.no_truncation()  # what the file says of these is for training
    backend.no_padding()
    config_path = folder / "tokenizer_config.json"
    config = read_json(config_path) if config_path.exists() else {}
    special = {name: text for name in SPECIAL if (text := _text(config.get(name)))}
    eos = as_list(read_generation(folder).get("eos_token_id"))
    response = config.get("response_template")
    response = response if isinstance(response, dict) else None
    return TokenizerFiles(backend, _template(folder, config), special, eos, response)


def _no_tokenizer(folder: Path) -> str:
    if (folder / "config.json").exists():
        return (
            f"{folder} has no tokenizer.json; give another place with --tokenizer, "
            "or use --skip-tokenizer-init and token ids"
        )
    found = f"{folder} has neither config.json nor tokenizer.json"
    if files := sorted(folder.glob("*.gguf")):
        return f"{found}; a GGUF file is named itself\n  try: {files[0]}"
    return f"{found}\n  a model is a directory with these and safetensors, or a .gguf file"


def _text(value: Any) -> str | None:
    """A special token is a string, or an object with its content."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _template(folder: Path, config: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return read_text(path)
    template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        named = [entry for entry in template if isinstance(entry, dict)]
        template = {entry.get("name"): entry.get("template") for entry in named}.get("default")
    return template if isinstance(template, str) else None


def read_gguf(path: Path) -> TokenizerFiles:
    """Everything from the file's own metadata."""
    metadata = open_header(path).metadata
    try:
        backend = build_tokenizer(metadata)
        tokens = metadata["tokenizer.ggml.tokens"]
        ids = {name: token_id(metadata, key) for name, key in GGUF_SPECIAL.items()}
        special = {name: tokens[i] for name, i in ids.items() if i is not None and i < len(tokens)}
        eos = end_ids(metadata)
    except UnsupportedModel as error:
        raise type(error)(f"{path}: {error}") from None
    template = metadata.get("tokenizer.chat_template")
    return TokenizerFiles(backend, template if isinstance(template, str) else None, special, eos)


def read_generation(source: Path) -> dict[str, Any]:
    """generation_config.json; its end-of-sequence ids may stand in config.json instead."""
    if source.suffix == ".gguf":
        metadata = open_header(source, strings=False).metadata
        if ends_by_name(metadata):
            metadata = open_header(source).metadata
        eos = end_ids(metadata)
        return {"eos_token_id": eos} if eos else {}
    path = source / "generation_config.json"
    found = read_json(path) if path.exists() else {}
    if "eos_token_id" not in found and (source / "config.json").exists():
        stored = read_json(source / "config.json").get("eos_token_id")
        if stored is not None:
            found["eos_token_id"] = stored
    return found


def as_list(value: Any) -> list[int]:
    """The ids of `eos_token_id`, which is one or several; raises CheckpointError for all else."""
    found = [] if value is None else value if isinstance(value, list) else [value]
    if not all(type(token) is int for token in found):
        raise CheckpointError(f"eos_token_id is {value!r:.80}, expected one token id or several")
    return list(found)
