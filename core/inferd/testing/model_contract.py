"""ModelContract: a model family computes what transformers computes, and reads all that matters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Ops
from inferd.errors import CheckpointError
from inferd.loading.weights import draw_weights
from inferd.testing.drive import installed_ops, load_model
from inferd.testing.fields import paths
from inferd.testing.model_fields import ModelFields
from inferd.testing.oracle import Held
from inferd.testing.parity import DIFFERENT, SAME, WAYS, distance, feed, load
from inferd.testing.served import check_greedy

LEAST_SPREAD = 1.0  # standard deviation of logits: with less, differences drown
LEAST_FAVOURITES = 3.0  # the largest attention weight, in units of a uniform one
ORIGINAL = "original_max_position_embeddings"


class ModelContract(ModelFields):
    """Parity with transformers in float32, and a mutation for every field that is read.

        class TestContract(ModelContract):
            plugin = "olmo"
            architecture = "Olmo2ForCausalLM"
            config = {"model_type": "olmo2", "rope_theta": 700.0}     # on top of tiny.BASE
            variants = {"base": {}, "tied": {"tie_word_embeddings": True}}   # on top of `config`
            cannot = {"partial_rotary_factor"}       # fields of which other values are refused
            mutations = {"partial_rotary_factor": 0.5}
            inert = {"k_proj.bias"}  # fields that transformers reads and endings of tensors'
                                     # names, on which no logit depends

    Each field that the model reads needs a value that is not transformers' default in some
    variant, and changing it must break parity; `mutations` names another value where doubling,
    halving, negating or leaving it out does not do. A None in `config` leaves a field out, a NULL
    (model_variants) sets it to null. `attn_implementation` says how transformers computes
    attention, where its eager one is wrong.
    """

    def test_the_oracle_can_tell(self, variant: str) -> None:
        """Parity over flat logits, even attention or short prompts would prove nothing."""
        oracle = self.oracle(variant)
        assert oracle.spread >= LEAST_SPREAD, f"logits spread by {oracle.spread:.2f} only"
        assert oracle.favourites >= LEAST_FAVOURITES, (
            f"attention is even: the largest weight is {oracle.favourites:.1f} times the mean"
        )
        window = oracle.config.get("sliding_window") or 0
        assert window < self.length, f"prompts have {self.length} tokens, the window {window}"
        for tensor in oracle.tensors:
            assert tensor.data.std() > 0, f"{tensor.name} is the same everywhere"

    def test_prompts_are_longer_than_the_original_length(self) -> None:
        """In some variant of every rope type that has one: beyond it the stretch counts."""
        shortest: dict[str, int] = {}
        for variant in self.variants:
            fields = {
                path.rpartition(".")[2]: value for path, value in paths(self.oracle(variant).config)
            }
            kind, original = fields.get("rope_type", "default"), fields.get(ORIGINAL)
            if original is not None:
                shortest[kind] = min(original, shortest.get(kind, original))
        for kind, original in shortest.items():
            assert original < self.length, f"{kind}: original length {original} is never exceeded"

    @pytest.mark.parametrize("way", WAYS)
    def test_parity(self, variant: str, way: str) -> None:
        """Whole, in chunks, token by token, in batches of rows at different places, and after a
        prefix was found in the cache."""
        self._check_parity(variant, way, None)

    def test_parity_with_the_best_ops(self, variant: str) -> None:
        """With what a worker on this platform would take: ops that overwrite what they may."""
        self._check_parity(variant, "batched", installed_ops(self.platform, torch.float32))

    def _check_parity(self, variant: str, way: str, ops: Ops | None) -> None:
        oracle = self.oracle(variant)
        found = distance(load(self.implementation(), oracle, ops=ops), oracle, way)
        assert found < SAME, (
            f"{self.architecture}, {variant}, {way}: logits differ by {found:.1e} standard "
            f"deviations from transformers', {SAME:g} is allowed"
        )

    def test_greedy_tokens_through_the_engine(self, tmp_path: Path) -> None:
        """Of the first variant: 64 steps in one batch, and again after a prefix-cache hit."""
        architecture = self.oracle_architecture or self.architecture
        check_greedy(tmp_path, architecture, self.oracle(next(iter(self.variants))))

    def test_every_tensor_is_needed_and_no_other(self, variant: str) -> None:
        """A missing, a renamed and a surplus tensor are errors."""
        tensors = self.oracle(variant).tensors
        build = self.build(variant, self.oracle(variant).config)
        for place in _telling(tensors):
            rest = tensors[:place] + tensors[place + 1 :]
            renamed = replace(tensors[place], name=f"{tensors[place].name}_2")
            for changed in (rest, (*rest, renamed), (*tensors, renamed)):
                with pytest.raises(CheckpointError):
                    load_model(self.implementation(), build, Held(changed))

    def test_every_tensor_counts(self, variant: str) -> None:
        """This model's own logits change with any of them: no bias is loaded and left out."""
        oracle = self.oracle(variant)
        own = feed(load(self.implementation(), oracle), oracle, "whole")
        for place in _telling(oracle.tensors):
            tensor = oracle.tensors[place]
            turned = replace(tensor, data=tensor.data.flip(0))
            tensors = (*oracle.tensors[:place], turned, *oracle.tensors[place + 1 :])
            changed = replace(oracle, tensors=tensors, logits_RTV=torch.stack([*own.values()]))
            found = distance(load(self.implementation(), changed), changed)
            counts = not tensor.name.endswith(tuple(self.inert))
            assert (found > DIFFERENT) == counts, f"{tensor.name} changes {found:.1e}"

    def test_dummy_weights_give_finite_logits(self, variant: str) -> None:
        oracle = self.oracle(variant)
        model = self.implementation()(self.build(variant, oracle.config)).eval()
        draw_weights(model, 0, torch.device("cpu"))
        for logits_TV in feed(model, oracle, "whole").values():
            assert torch.isfinite(logits_TV).all()


def _telling(tensors: Sequence[RawTensor]) -> list[int]:
    """Places of those of the first layer and outside of layers; the other layers are alike."""
    return [i for i, t in enumerate(tensors) if not re.search(r"\.[1-9]\d*\.", t.name)]
