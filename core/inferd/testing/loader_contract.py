"""LoaderContract: what was written comes back, and a broken file is an error with its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor, WeightLoader
from inferd.contracts.verdict import Verdict
from inferd.errors import InferdError
from inferd.testing.cannot import Refused, check_words, judge
from inferd.testing.numbers import DTYPES
from inferd.testing.plugin_contract import PluginContract, implementation, registry
from inferd.testing.tiny import draw, tensor_shapes, tiny_config

CUTS = 12  # places at which each file is cut
FLIPS = 48  # places at which a byte is damaged: half of them at the start, where headers are
CONFIG = tiny_config("LlamaForCausalLM", num_hidden_layers=2, vocab_size=40)
GENERATION = {"temperature": 0.5, "top_k": 7, "eos_token_id": [2, 3]}
COMPARED = (
    *("architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta"),
    *("max_position_embeddings", "tie_word_embeddings", "attention_bias", "mlp_bias"),
)
WORDS = (*DTYPES, "config", "generation_config", "tensors")


class LoaderContract(PluginContract):
    """Round trips of a tiny Llama, laziness, and files that are cut or damaged anywhere.

    class TestContract(LoaderContract):
        plugin = "tensorizer"
        load_format = "tensorizer"
        cannot = {"generation_config"}     # words: dtypes, config, generation_config, tensors

        def write(self, path, tensors, config, generation_config):
            ...                            # a checkpoint in `path`; returns what to open
    """

    load_format: ClassVar[str]
    cannot: ClassVar[Collection[str]] = frozenset()

    def implementation(self) -> type[WeightLoader]:
        """What is tested: the registered class."""
        kind: type[WeightLoader] = implementation(self.plugin, "loaders", self.load_format)
        return kind

    def write(
        self,
        path: Path,
        tensors: Mapping[str, Tensor],
        config: Mapping[str, Any],
        generation_config: Mapping[str, Any],
    ) -> Path:
        """Write a checkpoint into the directory `path`; return what is given to the loader."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to write a checkpoint")

    def _make(self, path: Path) -> WeightLoader:
        made: WeightLoader = registry(self.plugin, "loaders").make(self.implementation(), path)
        return made

    def test_name_is_the_registered_one(self) -> None:
        assert self.implementation().name == self.load_format

    def test_cannot_is_understood(self) -> None:
        check_words(self.cannot, WORDS)

    def test_matches_its_own_format_only(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "notes.txt").write_text("not a checkpoint")
        for other in ("empty", "notes.txt", "absent", "absent.gguf/absent"):
            verdict = self.implementation().matches(tmp_path / other)
            assert isinstance(verdict, Verdict), f"matches() returned {verdict!r}, not a Verdict"
            assert not verdict, f"matches() says yes to {other}"
            assert verdict.reason, f"matches() says no to {other} without a reason"

    def test_matches_what_it_reads(self, tmp_path: Path) -> None:
        verdict = self.implementation().matches(self._written(tmp_path, "float32"))
        if "tensors" in self.cannot:  # a loader of no tensors is only used when it is asked for
            assert not verdict, "matches() says yes, and yields no tensors"
        else:
            assert verdict, f"matches() says no to its own checkpoint: {verdict.reason}"

    def test_config_comes_back(self, tmp_path: Path) -> None:
        judge("config", {"config"}, self.cannot, lambda: self._check_config(tmp_path))

    def test_generation_config_comes_back(self, tmp_path: Path) -> None:
        def attempt() -> None:
            found = self._open(tmp_path, "float32").generation_config
            if not found:
                raise Refused("generation_config is empty")
            assert found == GENERATION, f"generation_config is {found}, stored: {GENERATION}"

        judge("generation_config", {"generation_config"}, self.cannot, attempt)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_tensors_come_back(self, tmp_path: Path, dtype: str) -> None:
        words = {"tensors", dtype}
        judge(f"{dtype} tensors", words, self.cannot, lambda: self._check_tensors(tmp_path, dtype))

    def test_a_cut_file_is_named(self, tmp_path: Path) -> None:
        opened = self._written(tmp_path, "float32")
        for file in _files(tmp_path):
            data = file.read_bytes()
            for place in range(CUTS):
                file.write_bytes(data[: len(data) * place // CUTS])
                error = self._error(opened)
                assert error is not None, f"{file.name}, cut to {place}/{CUTS}, is taken for whole"
                assert file.name in error, f"{file.name} is cut, the error names another: {error}"
            file.write_bytes(data)

    def test_a_damaged_file_raises_nothing_unforeseen(self, tmp_path: Path) -> None:
        opened = self._written(tmp_path, "float32")
        for file in _files(tmp_path):
            data = file.read_bytes()
            for at in _places(len(data)):
                file.write_bytes(data[:at] + bytes([data[at] ^ 0xA5]) + data[at + 1 :])
                self._error(opened)
            file.write_bytes(data)

    def _check_config(self, path: Path) -> None:
        found = self._open(path, "float32").config
        for key in COMPARED:
            assert found.get(key) == CONFIG[key], f"config: {key} is {found.get(key)!r}"

    def _check_tensors(self, path: Path, dtype: str) -> None:
        loader, stored = self._open(path, dtype), _tensors(dtype)
        first = loader.tensors()
        assert iter(first) is first, "tensors() is not an iterator: it reads everything at once"
        for _ in range(2):  # a second reading finds the same
            found = {tensor.name: tensor for tensor in loader.tensors()}
            if not found:
                raise Refused("there are no tensors")
            assert found.keys() == stored.keys(), f"names differ: {found.keys() ^ stored.keys()}"
            for name, tensor in found.items():
                _check_tensor(tensor, stored[name])
        num_bytes = sum(tensor.data.nbytes for tensor in found.values())
        assert loader.num_bytes == num_bytes, f"num_bytes is {loader.num_bytes}, not {num_bytes}"

    def _written(self, path: Path, dtype: str) -> Path:
        place = path / "checkpoint"
        place.mkdir(exist_ok=True)
        return self.write(place, _tensors(dtype), CONFIG | {"torch_dtype": dtype}, GENERATION)

    def _open(self, path: Path, dtype: str) -> WeightLoader:
        return self._make(self._written(path, dtype))

    def _error(self, opened: Path) -> str | None:
        """Read everything; the message of a foreseen error."""
        try:
            loader = self._make(opened)
            _ = loader.config, loader.generation_config, loader.num_bytes
            for tensor in loader.tensors():
                tensor.unpack(torch.float32)
        except InferdError as error:
            return str(error)
        except Exception as error:
            raise AssertionError(
                f"a broken file raises {error!r}; a loader raises CheckpointError or "
                "UnsupportedModel with the file's name"
            ) from error
        return None


def _check_tensor(found: RawTensor, stored: Tensor) -> None:
    shape = tuple(stored.shape)
    assert tuple(found.shape) == shape, f"{found.name} has shape {found.shape}, stored: {shape}"
    assert found.storage, f"{found.name} does not say how it is stored"
    assert torch.equal(found.unpack(stored.dtype), stored), f"{found.name} has other values"


def _tensors(dtype: str) -> dict[str, Tensor]:
    shapes = tensor_shapes(CONFIG)
    return {name: draw(name, shape, 0).to(DTYPES[dtype]) for name, shape in shapes.items()}


def _files(path: Path) -> list[Path]:
    return sorted(file for file in (path / "checkpoint").rglob("*") if file.is_file())


def _places(size: int) -> list[int]:
    half = FLIPS // 2
    return [*range(min(half, size)), *(size * place // half for place in range(half))]
