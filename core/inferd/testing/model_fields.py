"""The part of ModelContract about config.json: every field that is read, counts."""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

from inferd.errors import InferdError, UnsupportedModel
from inferd.layers.rope_config import Rope
from inferd.layers.rope_scaling import frequencies
from inferd.testing.fields import (
    ABSENT,
    Recorded,
    alterations,
    is_object,
    paths,
    value_at,
    with_value,
)
from inferd.testing.model_variants import ModelVariants
from inferd.testing.parity import DIFFERENT, distance, load

INERT = frozenset(  # what transformers' models read and an engine need not
    {
        *("_name_or_path", "initializer_range", "init_std", "is_encoder_decoder", "use_cache"),
        *("output_attentions", "output_hidden_states", "pad_token_id", "return_dict"),
    }
)
OF_LOADERS = frozenset(
    {"experts_apart"}
)  # what a file is like, not the model: no config.json has it
DROPPING = ("dropout", "pdrop", "layerdrop")  # endings of fields that count in training only
NONSENSE: tuple[Any, ...] = ("nonsense", -1, 0, 1.5, [], ["nonsense"], {}, {"nonsense": 1}, True)


class ModelFields(ModelVariants):
    """Fields are found by recording what the model asks its configuration for."""

    def test_every_field_has_a_value_of_its_own(self) -> None:
        missing = [
            field
            for field in sorted(self.fields() - set(self.cannot))
            if not any(self._is_telling(variant, field) for variant in self.variants)
        ]
        assert not missing, (
            f"{self.architecture} reads fields that no variant sets to another value than "
            f"transformers' default: {', '.join(missing)}"
        )

    def test_every_field_matters(self) -> None:
        ignored = [field for field in sorted(self.fields()) if not self._breaks(field)]
        assert not ignored, (
            f"{self.architecture} reads fields whose value changes nothing: {', '.join(ignored)}\n"
            "  use them, add a variant in which they count, or name another value in `mutations`"
        )

    def test_what_it_cannot_is_refused(self) -> None:
        for field in self.cannot:
            outcomes = list(self._outcomes(field))
            assert outcomes, f"`cannot` declares {field}, which is not read or has no other value"
            for outcome in outcomes:
                assert isinstance(outcome, UnsupportedModel), (
                    f"`cannot` declares {field}, but another value is taken; take it out"
                )
                name = field.rpartition(".")[2]
                assert name in str(outcome), f"the refusal does not name {name}: {outcome}"

    def test_reads_what_transformers_reads(self) -> None:
        theirs = set[str]().union(*(self.oracle(v).fields_read for v in self.variants))
        ours = {path.partition(".")[0] for path in set[str]().union(*self.reads.values())}
        if "rope_scaling" in ours:  # the older spelling
            ours.add("rope_parameters")
        forgotten = {
            name for name in theirs - INERT - set(self.inert) - ours if not name.endswith(DROPPING)
        }
        assert not forgotten, f"transformers reads {', '.join(sorted(forgotten))}, this does not"

    def test_nonsense_is_refused_or_harmless(self, variant: str) -> None:
        """Whatever stands in a field: never an error that is not inferd's own."""
        config = self.oracle(variant).config
        for field in sorted(self.reads[variant]):
            for value in NONSENSE:
                try:
                    self.implementation()(self.build(variant, with_value(config, field, value)))
                except InferdError:
                    continue
                except Exception as error:
                    raise AssertionError(
                        f"{field} = {value!r} raises {error!r}; raise UnsupportedModel with the "
                        "field's name and what is possible"
                    ) from error

    def fields(self) -> set[str]:
        """All that any variant's model asks for, objects only by their members."""
        read = set[str]().union(*self.reads.values()) - self.excused()
        configs = [self.oracle(variant).config for variant in self.variants]
        return {path for path in read if not any(is_object(config, path) for config in configs)}

    def excused(self) -> set[str]:
        """What loaders say, and what inferd's own rotary layer reads: core tests these."""
        return set[str](OF_LOADERS).union(*map(self._read_by_rotary, self.variants))

    @functools.cached_property
    def reads(self) -> dict[str, set[str]]:
        """By variant, what the model asks its configuration for."""
        found: dict[str, set[str]] = {}
        for variant in self.variants:
            seen = found.setdefault(variant, set())
            config = Recorded(self.oracle(variant).config, seen)
            self.implementation()(self.build(variant, config))
        return found

    def _read_by_rotary(self, variant: str) -> set[str]:
        config, seen = self.oracle(variant).config, set[str]()
        for hf in _ropes(Recorded(config, seen)):
            size = _head_size(config)
            rotated = int(size * Rope.read(hf, size, self.length).partial)
            frequencies(Rope.read(hf, size, self.length, rotated))
        partial = {path for path, _ in paths(config) if path.endswith("partial_rotary_factor")}
        return seen - partial

    def _is_telling(self, variant: str, field: str) -> bool:
        oracle = self.oracle(variant)
        value, default = value_at(oracle.config, field), value_at(oracle.defaults, field)
        return field in self.reads[variant] and value is not ABSENT and value != default

    def _breaks(self, field: str) -> bool:
        return any(
            isinstance(outcome, InferdError) or outcome > DIFFERENT
            for outcome in self._outcomes(field)
        )

    def _outcomes(self, field: str) -> Iterator[float | InferdError]:
        """For each other value in each variant: the distance from the oracle, or the refusal."""
        for variant in self.variants:
            if field in self.reads[variant]:
                oracle = self.oracle(variant)
                for value in self._values(oracle.config, field):
                    try:
                        changed = with_value(oracle.config, field, value)
                        yield distance(load(self.implementation(), oracle, changed), oracle)
                    except InferdError as error:
                        yield error

    def _values(self, config: dict[str, Any], field: str) -> list[Any]:
        if field in self.mutations:
            return [self.mutations[field]]
        value = value_at(config, field)
        return [] if value is ABSENT else alterations(value)


def _head_size(config: Mapping[str, Any]) -> int:
    """Any, where a configuration has names of its own: it is asked what is read, not the result."""
    hidden, heads = config.get("hidden_size", 64), config.get("num_attention_heads", 1)
    return int(config.get("head_dim") or hidden // heads)


def _ropes(hf: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """`hf`, and as each kind of layer sees it where they rotate differently."""
    yield hf
    kinds = hf.get("rope_parameters") or {}
    for kind in kinds:
        if isinstance(kinds[kind], Mapping):
            yield ChainMap({"rope_parameters": kinds[kind]}, hf)  # type: ignore[arg-type]
