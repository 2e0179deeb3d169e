"""Selection: which of the installed plugins are used. The grammar of `--plugins`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from inferd.errors import PluginError

ESSENTIALS = frozenset({"builtin", "server"})  # always used
DEFAULTS = ESSENTIALS | {"attention_triton", "grammar_llguidance", "parsers", "llama", "ops_triton"}
"""Those of the root distribution."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Words, combined left to right: `all` | `none` | `NAME` (defaults plus it) | `no:NAME`."""

    words: tuple[str, ...] = ("all",)

    @classmethod
    def parse(cls, text: str) -> Selection:
        """From "awq,gptq", "no:triton", "none", ...; an empty text means `all`."""
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        return cls(words or ("all",))

    @property
    def named(self) -> frozenset[str]:
        """Plugins the user asked for by name: they must load, or the start fails."""
        return frozenset(w for w in self.words if w not in ("all", "none") and ":" not in w)

    def resolve(self, installed: Collection[str]) -> frozenset[str]:
        """The installed plugins to load; raises PluginError for one that is not installed."""
        self._refuse_unknown(installed)
        chosen = frozenset(installed) if self._starts_from_all else DEFAULTS & set(installed)
        for word in self.words:
            if word == "all":
                chosen = frozenset(installed)
            elif word == "none":
                chosen = frozenset()
            elif word.startswith("no:"):
                chosen -= {word.removeprefix("no:")}
            else:
                chosen |= {word}
        return chosen | (ESSENTIALS & set(installed))

    @property
    def _starts_from_all(self) -> bool:
        """`no:x` alone takes from everything; naming one starts from the defaults."""
        return not self.named

    def _refuse_unknown(self, installed: Iterable[str]) -> None:
        known = sorted(installed)
        for word in self.words:
            name = word.removeprefix("no:")
            if word in ("all", "none") or name in known:
                continue
            if ":" in name or name in ("all", "none", ""):
                raise PluginError(
                    f"--plugins does not understand {word!r}; words: all, none, NAME, no:NAME"
                )
            if name in ESSENTIALS:
                continue
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PluginError(
                f"plugin {name!r} is not installed{hint}\n"
                f"  installed: {', '.join(known) or 'none'}\n"
                f"  try: pip install inferd-KIND-{name}, as in inferd-models-{name} or "
                f"inferd-quant-{name}\n"
                f"       in a checkout: pip install -e ./plugins/KIND_{name}"
            )
