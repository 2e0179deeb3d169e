"""LoaderContract catches planted bugs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors.torch import save_file

from inferd.contracts.verdict import YES, no
from inferd.loading.safetensors import SafetensorsLoader
from inferd.testing import LoaderContract


class DropsOne(SafetensorsLoader):
    def tensors(self):
        yield from list(super().tensors())[1:]


class Transposes(SafetensorsLoader):
    def tensors(self):
        for tensor in super().tensors():
            square = len(set(tensor.shape)) == 1 and len(tensor.shape) == 2
            data = tensor.data.T if square else tensor.data.flip(0)
            yield replace(tensor, data=data)


class Eager(SafetensorsLoader):
    def tensors(self):
        return list(super().tensors())


class Once(SafetensorsLoader):
    def __init__(self, path):
        super().__init__(path)
        self._left = super().tensors()

    def tensors(self):
        return self._left


class OtherSize(SafetensorsLoader):
    @property
    def num_bytes(self):
        return super().num_bytes + 8


class NoConfig(SafetensorsLoader):
    @property
    def config(self):
        return super().config | {"rope_theta": 10000.0}


class Unchecked(SafetensorsLoader):
    """Reads the configuration without a thought."""

    @property
    def config(self):
        return json.loads((self.path / "config.json").read_text())

    def __init__(self, path):
        self.path = path
        self._inner = None

    @property
    def generation_config(self):
        return {}

    @property
    def num_bytes(self):
        return 0

    def tensors(self):
        return SafetensorsLoader(self.path).tensors()


class Greedy(SafetensorsLoader):
    @classmethod
    def matches(cls, path):
        return YES


class Mute(SafetensorsLoader):
    @classmethod
    def matches(cls, path):
        return YES if any(path.glob("*.safetensors")) else no("")


class Planted(LoaderContract):
    plugin = "builtin"
    load_format = "safetensors"

    def __init__(self, kind, cannot=frozenset()):
        self._kind = kind
        self.cannot = cannot

    def implementation(self):
        return self._kind

    def write(self, path, tensors, config, generation_config):
        (path / "config.json").write_text(json.dumps(config))
        (path / "generation_config.json").write_text(json.dumps(generation_config))
        save_file(dict(tensors), path / "model.safetensors")
        return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (DropsOne, "names differ"),
        (Transposes, "has other values"),
        (Eager, "not an iterator"),
        (Once, "no tensors|names differ"),
        (OtherSize, "num_bytes is"),
    ],
)
def test_wrong_tensors_fail(tmp_path, kind, message):
    with pytest.raises(AssertionError, match=message):
        Planted(kind).test_tensors_come_back(tmp_path, "float32")


def test_a_wrong_configuration_fails(tmp_path):
    with pytest.raises(AssertionError, match="rope_theta"):
        Planted(NoConfig).test_config_comes_back(tmp_path)


def test_an_unforeseen_error_fails(tmp_path):
    with pytest.raises(AssertionError, match="raises JSONDecodeError"):
        Planted(Unchecked).test_a_cut_file_is_named(tmp_path)


@pytest.mark.parametrize(("kind", "message"), [(Greedy, "says yes to"), (Mute, "without a reason")])
def test_a_wrong_match_fails(tmp_path, kind, message):
    with pytest.raises(AssertionError, match=message):
        Planted(kind).test_matches_its_own_format_only(tmp_path)


def test_what_cannot_come_back_must_be_declared_and_only_that(tmp_path):
    Planted(Unchecked, {"generation_config"}).test_generation_config_comes_back(tmp_path)
    with pytest.raises(AssertionError, match="does not declare"):
        Planted(Unchecked).test_generation_config_comes_back(tmp_path)
    with pytest.raises(AssertionError, match="take it out"):
        Planted(SafetensorsLoader, {"bfloat16"}).test_tensors_come_back(tmp_path, "bfloat16")


def test_a_contract_that_cannot_write_says_so(tmp_path):
    class Silent(Planted):
        write = LoaderContract.write

    with pytest.raises(NotImplementedError, match="how to write a checkpoint"):
        Silent(SafetensorsLoader).test_config_comes_back(tmp_path)
