"""Scripts: what to emit, from a file that may change between requests."""

from __future__ import annotations

from pathlib import Path

import msgspec

from inferd.errors import UsageError

Script = list[int]
DEFAULT: list[Script] = [list(range(256))]


class Scripts:
    """Read anew when the file has changed, which is looked up with every sequence that starts."""

    def __init__(self, file: str | None, vocab_size: int) -> None:
        self._file = Path(file) if file else None
        self._vocab_size = vocab_size
        self._stamp: tuple[int, int] | None = None
        self._scripts = DEFAULT

    def of(self, seed: int, index: int) -> Script:
        """The script of a sample: of several the seed says which, and samples take turns.

        Raises UsageError for a file that cannot be read or holds something else.
        """
        if self._file is not None:
            self._refresh(self._file)
        return self._scripts[(seed + index) % len(self._scripts)]

    def _refresh(self, file: Path) -> None:
        try:
            stat = file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._stamp:
                self._scripts = msgspec.json.decode(file.read_bytes(), type=list[Script])
                self._stamp = stamp
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(f"the script {file}: {error}") from None
        ids = [token_id for script in self._scripts for token_id in script]
        if not self._scripts or not all(self._scripts) or not 0 <= min(ids) <= max(ids):
            raise UsageError(f"the script {file} must hold one or more lists of token ids")
        if max(ids) >= self._vocab_size:
            raise UsageError(f"the script {file}: {max(ids)} is not below {self._vocab_size}")
