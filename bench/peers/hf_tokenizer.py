"""tokenizer.json and its side files from the vocabulary a GGUF carries (byte-level BPE)."""

from __future__ import annotations

from typing import Any

from bench.peers.gguf_source import Source
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

CONTROL, USER_DEFINED = 3, 4  # gguf token types


def build_tokenizer(source: Source) -> Tokenizer:
    """Raises SystemExit for a tokenizer that is not byte-level BPE with a known split."""
    if source.token_value("model") != "gpt2":
        raise SystemExit(f"tokenizer model {source.token_value('model')!r}; only gpt2 is converted")
    texts: list[str] = source.token_value("tokens")
    pairs = [tuple(merge.split(" ", 1)) for merge in source.token_value("merges")]
    bpe = models.BPE(vocab={text: i for i, text in enumerate(texts)}, merges=pairs)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = _splitter(source.token_value("pre", "default"))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    kinds = source.token_value("token_type")
    for kind, special in ((CONTROL, True), (USER_DEFINED, False)):
        added = [t for t, k in zip(texts, kinds, strict=True) if k == kind]
        tokens = [AddedToken(text, special=special, normalized=False) for text in added]
        if special:
            tokenizer.add_special_tokens(tokens)
        else:
            tokenizer.add_tokens(tokens)
    return tokenizer


def _splitter(name: str) -> Any:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    if name in {"gpt-2", "default"}:
        return words
    raise SystemExit(f"pre-tokenizer {name!r}; known: smollm, gpt-2, default")


def tokenizer_config(source: Source) -> dict[str, Any]:
    """What transformers wants beside tokenizer.json."""
    texts = source.token_value("tokens")
    named = {
        "bos_token": source.token_value("bos_token_id"),
        "eos_token": source.token_value("eos_token_id"),
        "pad_token": source.token_value("padding_token_id"),
        "unk_token": source.token_value("unknown_token_id"),
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": source.shape_value("context_length"),
        "chat_template": source.metadata.get("tokenizer.chat_template"),
        **{name: texts[i] for name, i in named.items() if i is not None},
    }
