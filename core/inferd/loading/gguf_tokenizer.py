"""A tokenizers.Tokenizer from the vocabulary in a GGUF file's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferd.errors import CheckpointError, InferdError, UnsupportedModel
from inferd.loading.gguf_names import token_id
from inferd.loading.gguf_splits import KIMI, LLAMA3, QWEN2, splitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # token types
WHOLE_WORDS = (*LLAMA3, KIMI)  # a word that is a token is taken, whatever its merges say


def build_tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    """Raises UnsupportedModel for an unknown kind of vocabulary, CheckpointError for a broken one.

    `tokenizers` has one class for all its complaints, Exception.
    """
    kind = metadata.get("tokenizer.ggml.model")
    tokens = _array(metadata, "tokens", str)
    if not tokens:
        raise UnsupportedModel("the GGUF file has no vocabulary (tokenizer.ggml.tokens)")
    if kind not in ("gpt2", "llama"):
        raise UnsupportedModel(f"GGUF tokenizer {kind!r:.80} is not supported; known: gpt2, llama")
    try:
        build = _byte_level_bpe if kind == "gpt2" else _sentencepiece
        tokenizer = build(metadata, tokens)
        _add_special(tokenizer, metadata, tokens)
    except InferdError:
        raise
    except Exception as error:
        raise CheckpointError(f"the vocabulary is not consistent: {error!s:.200}") from None
    return tokenizer


def _array(metadata: dict[str, Any], key: str, kind: type) -> list[Any]:
    """A GGUF array holds values of one type, so the first one tells."""
    value = metadata.get(f"tokenizer.ggml.{key}", [])
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value[:1]):
        raise CheckpointError(f"GGUF key tokenizer.ggml.{key} is not an array of {kind.__name__}")
    return value


def _byte_level_bpe(metadata: dict[str, Any], tokens: list[str]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    split = str(metadata.get("tokenizer.ggml.pre", ""))
    merges = [tuple(merge.split(" ", 1)) for merge in _array(metadata, "merges", str)]
    vocab = {token: i for i, token in enumerate(tokens)}
    whole = split in WHOLE_WORDS
    bpe = models.BPE(vocab=vocab, merges=merges, fuse_unk=False, ignore_merges=whole)
    tokenizer = Tokenizer(bpe)
    if split in QWEN2:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = splitter(split)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if metadata.get("tokenizer.ggml.add_bos_token", split in LLAMA3):
        tokenizer.post_processor = _with_bos(metadata, tokens)
    return tokenizer


def _sentencepiece(metadata: dict[str, Any], tokens: list[str]) -> Tokenizer:
    """Llama 2's: merges are found by score, spaces become U+2581, bytes are a fallback."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    scores = _array(metadata, "scores", float)
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=_merges_by_score(vocab, scores),
            unk_token=tokens[_id(metadata, "unknown", tokens, 0)],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", "\u2581")]
    if metadata.get("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend("\u2581"))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    if metadata.get("tokenizer.ggml.add_bos_token", True):
        tokenizer.post_processor = _with_bos(metadata, tokens)
    return tokenizer


def _merges_by_score(vocab: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """Every split of a token into two tokens, best-scored token first."""
    found: list[tuple[float, int, int, str, str]] = []
    for token, i in vocab.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocab and right in vocab:
                found.append((-scores[i], vocab[left], vocab[right], left, right))
    found.sort()
    return [(left, right) for *_, left, right in found]


def _with_bos(metadata: dict[str, Any], tokens: list[str]) -> Any:
    from tokenizers import processors

    bos = _id(metadata, "bos", tokens)
    name = tokens[bos]
    return processors.TemplateProcessing(
        single=[name, "$A"], pair=[name, "$A", "$B"], special_tokens=[(name, bos)]
    )


def _id(metadata: dict[str, Any], name: str, tokens: list[str], default: int = -1) -> int:
    found = token_id(metadata, name)
    place = default if found is None else found
    if not 0 <= place < len(tokens):
        raise CheckpointError(
            f"GGUF key tokenizer.ggml.{name}_token_id is {found}, expected a token of the "
            f"{len(tokens)} in the vocabulary"
        )
    return place


def _add_special(tokenizer: Tokenizer, metadata: dict[str, Any], tokens: list[str]) -> None:
    from tokenizers import AddedToken

    types = _array(metadata, "token_type", int)
    pairs = list(zip(tokens, types, strict=False))
    names = [token for token, kind in pairs if kind in (UNKNOWN, CONTROL)]
    special = [AddedToken(name, special=True, normalized=False) for name in names]
    tokenizer.add_special_tokens(special)
    user = [AddedToken(t, normalized=False) for t, k in pairs if k == USER_DEFINED]
    if user:
        tokenizer.add_tokens(user)
