"""Reads what a tokenizer consists of from a directory or a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferd.errors import UnsupportedModel
from inferd.loading.gguf_header import GgufHeader, read_header
from inferd.loading.gguf_tokenizer import build_tokenizer
from inferd.loading.mapped import open_mapped, read_json

if TYPE_CHECKING:
    import tokenizers

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    backend: tokenizers.Tokenizer
    chat_template: str | None
    special_tokens: dict[str, str]
    eos_ids: list[int]


def read_directory(folder: Path) -> TokenizerFiles:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise UnsupportedModel(
            f"{folder} has no tokenizer.json; give another place with --tokenizer, "
            "or use --skip-tokenizer-init and token ids"
        )
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from None
    config_path = folder / "tokenizer_config.json"
    config = read_json(config_path) if config_path.exists() else {}
    special = {name: _text(config[name]) for name in SPECIAL if config.get(name)}
    eos = as_list(read_generation(folder).get("eos_token_id"))
    return TokenizerFiles(backend, _template(folder, config), special, eos)


def _text(value: Any) -> str:
    """A special token is a string, or an object with its content."""
    return str(value["content"] if isinstance(value, dict) else value)


def _template(folder: Path, config: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def read_gguf(path: Path) -> TokenizerFiles:
    """Everything from the file's own metadata."""
    header = gguf_header(path)
    metadata = header.metadata
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    special = {}
    for name, key in (
        ("bos_token", "bos"),
        ("eos_token", "eos"),
        ("unk_token", "unknown"),
        ("pad_token", "padding"),
    ):
        token_id = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(token_id, int) and token_id < len(tokens):
            special[name] = tokens[token_id]
    return TokenizerFiles(
        build_tokenizer(metadata),
        metadata.get("tokenizer.chat_template"),
        special,
        as_list(metadata.get("tokenizer.ggml.eos_token_id")),
    )


def gguf_header(path: Path) -> GgufHeader:
    return read_header(open_mapped(path), path)


def read_generation(source: Path) -> dict[str, Any]:
    """generation_config.json; its end-of-sequence ids may stand in config.json instead."""
    if source.suffix == ".gguf":
        eos = gguf_header(source).metadata.get("tokenizer.ggml.eos_token_id")
        return {"eos_token_id": eos} if eos is not None else {}
    path = source / "generation_config.json"
    found = read_json(path) if path.exists() else {}
    if "eos_token_id" not in found and (source / "config.json").exists():
        eos = read_json(source / "config.json").get("eos_token_id")
        if eos is not None:
            found["eos_token_id"] = eos
    return found


def as_list(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)
