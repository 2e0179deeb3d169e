"""The parser of every command: complaints that say what is known, and help that can be searched."""

from __future__ import annotations

import argparse
import difflib
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from inferd.errors import UsageError

if TYPE_CHECKING:
    from inferd.host.host import Host


class Parser(argparse.ArgumentParser):
    """Turns argparse's complaints into UsageError, with what is known instead.

    `plugins` is the Host, for flags that plugins add; parsers of inner words have it too.
    """

    def __init__(self, prog: str, *, plugins: Host | None = None, **options: Any) -> None:
        with_help = options.pop("add_help", True)
        super().__init__(prog, **{"allow_abbrev": False, **options}, add_help=False)
        self.plugins = plugins
        if with_help:
            text = "this, or only the flags and groups whose names contain WORD"
            self.add_argument("-h", "--help", action=_Help, metavar="WORD", help=text)

    def add_subparsers(self, **options: Any) -> Any:
        inner: Any = functools.partial(Parser, plugins=self.plugins)
        return super().add_subparsers(parser_class=inner, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._hint(message)}\n  try: {self.prog} --help")

    def matching(self, word: str) -> argparse.ArgumentParser:
        """A parser with the flags that have `word` in their name or in their group's.

        Raises UsageError when there is none.
        """
        found = argparse.ArgumentParser(self.prog, usage=argparse.SUPPRESS, add_help=False)
        for group in self._action_groups:
            shown = [
                action
                for action in group._group_actions
                if word in f"{group.title} {' '.join(action.option_strings)} {action.dest}"
            ]
            copy = found.add_argument_group(group.title)
            for action in shown:
                copy._group_actions.append(action)
        if not any(group._group_actions for group in found._action_groups):
            titles = [str(group.title) for group in self._action_groups]
            raise UsageError(
                f"{self.prog} has no flag or group like {word!r}; groups: {', '.join(titles)}"
            )
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        name = action.option_strings[0] if action.option_strings else self.prog
        raise UsageError(
            f"{name} {value}: not known{did_you_mean(str(value), known)}\n"
            f"  known: {', '.join(known)}"
        )

    def _hint(self, message: str) -> str:
        flag = next((word for word in message.split() if word.startswith("--")), None)
        if flag is None:
            return ""
        flag = flag.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        plugin, dot, _ = flag.partition(".")
        if dot:
            own = [option for option in known if option.startswith(f"{plugin}.")]
            return f"\n  options of the plugin {plugin[2:]}: {', '.join(own) or 'none'}"
        return did_you_mean(flag, known)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause for the end of a complaint; empty when nothing is near."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


class _Help(argparse.Action):
    def __init__(self, option_strings: list[str], **options: Any) -> None:
        super().__init__(option_strings, nargs="?", default=argparse.SUPPRESS, **options)

    def __call__(self, parser: Any, _: Any, word: Any, flag: str | None = None) -> None:  # noqa: ARG002
        (parser.matching(word.lstrip("-")) if word else parser).print_help()
        parser.exit()
