"""Texts on which tokenizers differ when something is wrong."""

from hypothesis import HealthCheck, settings

# time says nothing on a machine that others use
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VARIED = [
    "",
    " ",
    "Hello, world!",
    "  two  spaces\tand\ttabs \n\n new lines \r\n  ",
    "I'm, you'RE, they'll, we'd, it's and 'tis",
    "In 1984, 12345678 of 3.14159e-10; Ⅷ ½ ٣ १२३",
    "caf\u00e9 cafe\u0301 na\u00efve \u212b \ufb01n",
    "日本語のテキスト、中文文本。한국어 텍스트",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 ok 👍🏽!",
    "مرحبا שלום नमस्ते สวัสดี",
    "def f(x):\n    return x**2  # comment\n\n\n\nprint(f(10))",
    "a" * 70 + "-_-" + "=" * 33,
    "\u200b\u00a0\u3000\u2028mixed\ufeff\u0085spaces",
    "x\u0000y\u0007z \ufffd",
    "https://example.org/a?b=c&d=%20#e",
    "The quick brown fox jumps over the lazy dog. " * 3,
]


def common(text: str, other: str) -> str:
    """What both begin with."""
    size = min(len(text), len(other))
    while text[:size] != other[:size]:
        size -= 1
    return text[:size]
