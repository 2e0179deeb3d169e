"""Where models come from, and what a name that leads nowhere is answered with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from inferd.errors import EnvironmentProblem, InferdError, UsageError
from inferd.loading.sources import pull, resolve

NOBODY = 65534
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, without a network."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_directory_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"x")
    assert resolve(str(tmp_path)) == tmp_path
    assert resolve(str(file)) == file
    monkeypatch.chdir(tmp_path.parent)
    assert resolve(tmp_path.name) == Path(tmp_path.name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/m.gguf") == file


def test_the_alias(smollm2_file: Path) -> None:
    assert resolve("smollm2") == pull("smollm2") == smollm2_file
    with pytest.raises(UsageError, match=r"no alias 'smolm2'; did you mean 'smollm2'\?"):
        pull("smolm2")


def test_a_directory_goes_before_a_hub_id(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("org/name").mkdir(parents=True)
    assert resolve("org/name") == Path("org/name")
    with pytest.raises(EnvironmentProblem):
        resolve("hf:org/name")


def test_a_hub_id_in_the_cache(hub: Path) -> None:
    folder = hub / "models--org--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "snapshots" / COMMIT / "config.json").write_text("{}")
    for model in ("org/name", "hf:org/name"):
        assert resolve(model) == folder / "snapshots" / COMMIT
    assert resolve("org/name", revision=COMMIT) == folder / "snapshots" / COMMIT
    with pytest.raises(EnvironmentProblem, match="not in the hub's cache"):
        resolve("org/name", revision="other")


def test_a_hub_id_that_is_not_in_the_cache(hub: Path) -> None:
    with pytest.raises(
        EnvironmentProblem, match="no directory org/name, and as a hub id"
    ) as caught:
        resolve("org/name")
    assert "HF_HUB_OFFLINE" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (
            errors.HFValidationError("Repo id must be x\nmore"),
            UsageError,
            "is not a hub id: Repo id",
        ),
        (
            ConnectionError("no route\nmore"),
            EnvironmentProblem,
            "the hub did not give .*: no route",
        ),
        (OSError(28, "No space left on device"), EnvironmentProblem, "No space left"),
        (PermissionError(), EnvironmentProblem, "PermissionError"),
    ],
)
def test_what_the_hub_raises(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: type[InferdError], message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(kind, match=message) as caught:
        resolve("hf:org/name")
    assert "more" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "the model's name is empty"),
        ("smollm", "no model at .*smollm; did you mean 'smollm2'"),
        ("./absent", "no model at .*/absent\n  a model is a directory with config.json, a .gguf"),
        ("/absent/file.gguf", "no model at /absent/file.gguf"),
        ("a/b/c", "no model at .*a/b/c"),
        ("org/", "no model at"),
        ("x" * 300, "cannot be opened: File name too long"),
        ("~no-such-user-here/x", "cannot be opened: .*home directory"),
        ("a\0b", "no model at|cannot be opened"),
    ],
)
def test_names_that_lead_nowhere(model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        resolve(model)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 700


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"is a file that does not end in .gguf"):
        resolve(str(path))


@contextmanager
def as_nobody() -> Iterator[None]:
    """File permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def _closed_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    folder.chmod(0)
    return folder


def _closed_file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    return path


def _in_a_closed_folder(tmp_path: Path) -> Path:
    return _closed_folder(tmp_path) / "below"


@pytest.mark.parametrize("make", [_closed_folder, _closed_file, _in_a_closed_folder])
def test_what_may_not_be_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with as_nobody(), pytest.raises(UsageError, match=r"(?i)permission denied") as caught:
        resolve(str(path))
    assert str(path) in str(caught.value)
