"""Command-line flags derived from the option models, so that there is one source of names.

A value comes from the first of: flag, INFERD_<NAME> in the environment, [engine] in inferd.toml (or
the file of --config), default.
"""

from __future__ import annotations

import argparse
import os
import tomllib
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from inferd.config.engine import SECTIONS, EngineConfig
from inferd.errors import UsageError

SKIPPED = {"model", "plugin_options"}  # positional, or given per plugin
DEFAULT_FILE = Path("inferd.toml")


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per option, in the sections of EngineConfig, and --config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; default inferd.toml"
    )
    for section, kind in SECTIONS.items():
        group = parser.add_argument_group(f"{section} options")
        for name, field in kind.model_fields.items():
            if name not in SKIPPED:
                _add_flag(group, name, field)


def _add_flag(group: Any, name: str, field: FieldInfo) -> None:
    flag = "--" + name.replace("_", "-")
    default = "" if field.default in (None, {}) else f" (default: {field.default})"
    shown = (field.description or "").replace("%", "%%") + default
    options: dict[str, Any] = {"dest": name, "default": None, "help": shown}
    plain = _plain_type(field.annotation)
    if plain is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif get_origin(plain) is Literal:
        group.add_argument(flag, choices=get_args(plain), **options)
    elif name == "plugins":
        group.add_argument(flag, action="append", metavar="WORDS", **options)
    else:
        group.add_argument(flag, metavar=plain.__name__.upper(), **options)


def _plain_type(annotation: Any) -> Any:
    """The type without None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation


def engine_config(args: argparse.Namespace, model: str) -> EngineConfig:
    """Raises UsageError for a bad value, naming the option."""
    file = _from_file(getattr(args, "config", None))
    chosen: dict[str, Any] = {}
    for kind in SECTIONS.values():
        for name in kind.model_fields:
            value = _given(args, name, file)
            if value is not None and name != "model":
                chosen[name] = value
    return EngineConfig.of(model, **chosen)


def _given(args: argparse.Namespace, name: str, file: dict[str, Any]) -> Any:
    value = getattr(args, name, None)
    if name == "plugins" and isinstance(value, list):
        return ",".join(value)
    if value is not None:
        return value
    return os.environ.get(f"INFERD_{name.upper()}", file.get(name))


def _from_file(path: Path | None) -> dict[str, Any]:
    path = path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--config {path}: {error}") from None
    engine: dict[str, Any] = content.get("engine", {})
    return engine
