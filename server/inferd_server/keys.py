"""API keys: what an operator writes of each, and what the server keeps of it.

    KEY [name=NAME] [concurrency=N] [per-minute=N] [priority=N]

KEY is the key itself or sha256: and its SHA-256 in hex. The key itself is not kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from inferd.errors import UsageError

HASHED = "sha256:"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBERS = {
    "concurrency": (1, 1 << 20),
    "per-minute": (1, 1 << 20),
    "priority": (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True, slots=True)
class Key:
    """None: the limit that all keys have."""

    digest: bytes  # SHA-256
    name: str  # what logs say instead of the key
    concurrency: int | None = None  # requests at once
    per_minute: int | None = None
    priority: int | None = None  # the best that its requests get

    @classmethod
    def parse(cls, line: str) -> Key:
        """Raises UsageError, which never shows the key."""
        secret, *words = line.split()
        digest = _digest(secret)
        settings = dict(_setting(word) for word in words)
        name = settings.pop("name", f"key-{digest.hex()[:8]}")
        return cls(digest, str(name), **{k.replace("-", "_"): int(v) for k, v in settings.items()})


def hash_key(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _digest(secret: str) -> bytes:
    if not secret.startswith(HASHED):
        return hash_key(secret.encode())
    try:
        digest = bytes.fromhex(secret.removeprefix(HASHED))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise UsageError(f"an API key begins with {HASHED} but 64 hexadecimal digits do not follow")
    return digest


def _setting(word: str) -> tuple[str, str | int]:
    name, _, value = word.partition("=")
    if name == "name" and _NAME.fullmatch(value):
        return name, value
    if name in _NUMBERS and re.fullmatch(r"-?\d{1,10}", value):
        least, most = _NUMBERS[name]
        if least <= int(value) <= most:
            return name, int(value)
    known = "name=NAME, " + ", ".join(f"{name}=N" for name in _NUMBERS)
    raise UsageError(f"what follows an API key must be one of {known}; {name[:32]!r} is not")


def read_keys(given: list[str], file: Path | None) -> tuple[Key, ...]:
    """Of flags, of INFERD_API_KEY (several with spaces between) and of a file (one a line).

    Raises UsageError for a line that is wrong, for a file without keys and for an empty flag: a
    server that was to have a key must not start without.
    """
    if not all(key.strip() for key in given):
        raise UsageError("--api-key is empty; is the variable set that it was to come from?")
    lines = [*given, *os.environ.get("INFERD_API_KEY", "").split()]
    keys = [Key.parse(line) for line in lines]
    if file is not None:
        keys += _of_file(file)
    return tuple({key.digest: key for key in keys}.values())


def _of_file(file: Path) -> list[Key]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--api-key-file {file}: {error}") from None
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            keys.append(Key.parse(line))
        except UsageError as error:
            raise UsageError(f"--api-key-file {file}, line {number}: {error}") from None
    if not keys:
        raise UsageError(f"--api-key-file {file} holds no key; write one key a line")
    return keys
