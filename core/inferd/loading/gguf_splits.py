"""How text is cut into words before merges, by the names that GGUF files have for it.

The names are llama.cpp's; each stands for the splits of a family's own tokenizer, made one after
the other. They are those of the published tokenizer.json, whose regular expressions Oniguruma reads
here, too (Kimi's, of its tokenization_kimi.py, has the same syntax for sets).
"""

from __future__ import annotations

from typing import Any

from inferd.errors import UnsupportedModel

GPT2_LIKE = ("gpt-2", "default", "")
LLAMA3 = ("llama-bpe", "llama3")
QWEN2 = ("qwen2", "deepseek-r1-qwen")
KIMI = "kimi-k2"
SINGLE_DIGITS = ("smollm", "deepseek-llm")
LEAD, SPACES = r"[^\r\n\p{L}\p{N}]?", r"\s*[\r\n]+|\s+(?!\S)|\s+"
ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3_SPLIT = rf"{ENDINGS}|{LEAD}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}"
UPPER, LOWER, NO_HAN = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}", r"&&[^\p{Han}]"
CASED = (  # letters of DeepSeek-V2's words: Armenian's small ones and Georgian's are not among them
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)


def _words(upper: str, lower: str) -> str:
    """Letters of the upper case, then of the lower, of which one may be none."""
    both = (f"[{upper}]*[{lower}]+", f"[{upper}]+[{lower}]*")
    return "|".join(f"{LEAD}{letters}{ENDINGS}?" for letters in both)


O200K_SPLIT = rf"{_words(UPPER, LOWER)}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"
KIMI_SPLIT = (
    rf"\p{{Han}}+|{_words(UPPER + NO_HAN, LOWER + NO_HAN)}"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}"
)
DEEPSEEK_V2 = (
    r"[\r\n]",
    rf"\s?[{CASED}]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    r"\s+$",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
)
DEEPSEEK_V3_LETTERS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
)
DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    rf"{DEEPSEEK_V3_LETTERS}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}",
)
SPLITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LLAMA3, (LLAMA3_SPLIT,)),
    **dict.fromkeys(QWEN2, (LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}"),)),
    "gpt-4o": (O200K_SPLIT,),
    "deepseek-llm": DEEPSEEK_V2,
    "deepseek-v3": DEEPSEEK_V3,
    KIMI: (KIMI_SPLIT,),
}


def splitter(name: str) -> Any:
    """A tokenizers.pre_tokenizers.PreTokenizer; raises UnsupportedModel for an unknown name."""
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as pre

    known = {*GPT2_LIKE, *SPLITS, *SINGLE_DIGITS}
    if name not in known:
        raise UnsupportedModel(
            f"GGUF pre-tokenizer {name!r:.80} is not supported; known: "
            f"{', '.join(sorted(known - {''}))}. "
            "Give a directory with tokenizer.json: --tokenizer DIR"
        )
    steps: list[Any] = [
        pre.Split(Regex(split), "isolated", invert=False) for split in SPLITS.get(name, ())
    ]
    if name in SINGLE_DIGITS:
        steps.append(pre.Digits(individual_digits=True))
    words = name not in SPLITS  # GPT-2's, which ByteLevel knows
    return pre.Sequence([*steps, pre.ByteLevel(add_prefix_space=False, use_regex=words)])
