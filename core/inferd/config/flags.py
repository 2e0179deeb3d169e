"""Command-line flags derived from the option models, so that there is one source of names.

`inferd.config.sources` says where values come from.
"""

from __future__ import annotations

import argparse
import difflib
import types
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from inferd.config.base import SEVERAL, Options
from inferd.config.engine import SECTIONS, EngineConfig
from inferd.config.plugins import checked_options
from inferd.config.sources import Sources
from inferd.errors import UsageError

Own = TypeVar("Own", bound=Options)

SKIPPED = {"model", "plugin_options"}  # positional, or given per plugin
ENGINE = [name for kind in SECTIONS.values() for name in kind.model_fields if name not in SKIPPED]


class Plugins(Protocol):
    """What flags need to know of the plugins; the Host."""

    @property
    def resolved(self) -> str:
        """Words that select in a child process what is loaded here."""

    def option_models(self) -> dict[str, type[Options]]:
        """By plugin, for those that take options."""


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per option, in the sections of EngineConfig and of plugins, and --config.

    A parser of the command line knows the plugins: `parser.plugins`.
    """
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; default inferd.toml"
    )
    for section, kind in SECTIONS.items():
        add_flags(parser, f"{section} options", kind)
    plugins: Plugins | None = getattr(parser, "plugins", None)
    models = plugins.option_models() if plugins else {}
    parser.set_defaults(selected_plugins=plugins, option_models=models)
    for plugin, model in models.items():
        add_flags(parser, f"options of the plugin {plugin}", model, prefix=f"{plugin}.")


def add_flags(
    parser: argparse.ArgumentParser, title: str, model: type[Options], prefix: str = ""
) -> None:
    """A group of flags, one per option of `model`."""
    group = parser.add_argument_group(title)
    for name, field in model.model_fields.items():
        if prefix or name not in SKIPPED:
            _add_flag(group, name, field, prefix)


def _add_flag(group: Any, name: str, field: FieldInfo, prefix: str) -> None:
    flag = f"--{prefix}{name.replace('_', '-')}"
    default = "" if field.default in (None, {}, []) else f" (default: {field.default})"
    shown = (field.description or "").replace("%", "%%") + default
    options: dict[str, Any] = {"dest": prefix + name, "default": None, "help": shown}
    plain = _plain_type(field.annotation)
    if plain is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif get_origin(plain) is Literal:
        group.add_argument(flag, choices=get_args(plain), **options)
    elif prefix + name == "plugins":
        group.add_argument(flag, action="append", metavar="WORDS", **options)
    elif get_origin(plain) is list:
        several = "+" if SEVERAL in field.metadata else 1
        word = name.rpartition("_")[2].upper()
        group.add_argument(flag, action="extend", nargs=several, metavar=word, **options)
    else:
        group.add_argument(flag, metavar=plain.__name__.upper(), **options)


def _plain_type(annotation: Any) -> Any:
    """The type without None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def engine_config(args: argparse.Namespace, model: str) -> EngineConfig:
    """Raises UsageError for a bad value, naming the option."""
    sources = Sources(args)
    _check_names("engine", sources.section("engine"), ENGINE)
    chosen: dict[str, Any] = {"plugin_options": _plugin_options(args, sources)}
    for name in ENGINE:
        found = sources.plugin_words() if name == "plugins" else sources.find("engine", name)
        if found is not None:
            chosen[name] = found.value
    selected: Plugins | None = getattr(args, "selected_plugins", None)
    if selected is not None:
        chosen["plugins"] = selected.resolved
    return EngineConfig.of(model, **chosen)


def command_options(args: argparse.Namespace, section: str, model: type[Own]) -> Own:
    """A command's own options. Raises UsageError for a bad value, naming where it stands."""
    sources = Sources(args)
    _check_names(section, sources.section(section), model.model_fields)
    found = {name: sources.find(section, name) for name in model.model_fields}
    chosen = {name: choice for name, choice in found.items() if choice is not None}
    values = {name: _value(model, name, choice.value) for name, choice in chosen.items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        origin = chosen[str(first["loc"][0])].origin
        raise UsageError(f"{origin}: {first['msg']}, got {first['input']!r}") from None


def _value(model: type[Options], name: str, value: Any) -> Any:
    """The environment gives lists as words."""
    many = get_origin(_plain_type(model.model_fields[name].annotation)) is list
    return value.split() if many and isinstance(value, str) else value


def _plugin_options(args: argparse.Namespace, sources: Sources) -> dict[str, Any]:
    """Per plugin, what was given, checked by the plugin's model and as JSON has it."""
    models: dict[str, type[Options]] = getattr(args, "option_models", {})
    sections: dict[str, Any] = sources.section("plugins")
    options = {name: dict(section) for name, section in sections.items() if name not in models}
    for plugin, model in models.items():
        section = f"plugins.{plugin}"
        given = dict(sources.section(section))
        for name in model.model_fields:
            found = sources.find(section, name)
            if found is not None:
                given[name] = found.value
        checked = checked_options(plugin, model, given)
        options[plugin] = checked.model_dump(mode="json", exclude_unset=True)
    return options


def _check_names(section: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises UsageError for an option in the file that does not exist."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"[{section}] has no option {name!r}{hint}\n  known: {', '.join(sorted(known))}"
            )
