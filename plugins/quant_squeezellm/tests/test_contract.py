"""SqueezeLLM's packing, number by number as it is published, and what is refused."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.testing import QuantizationContract
from inferd_quant_squeezellm.matrix import SqueezeMatrix
from inferd_quant_squeezellm.method import SqueezeMethod

OUTLIERS = 0.02  # of all values


def config(bits: int, **more):
    return {"quant_method": "squeezellm", "wbits": bits, **more}


def words(codes: list[int], bits: int) -> list[int]:
    """Codes one after the other from the lowest bit on, cut into words, as int32 has them."""
    whole = sum(code << place * bits for place, code in enumerate(codes))
    parts = [whole >> start & 0xFFFFFFFF for start in range(0, len(codes) * bits, 32)]
    return [part - (1 << 32) if part >> 31 else part for part in parts]


def tables(weight_NK, bits):
    """Quantiles of each row: values that lie unevenly, as k-means puts them."""
    places = (torch.arange(2**bits) + 0.5) / 2**bits
    return weight_NK.float().quantile(places, dim=1).T.contiguous()


class TestContract(QuantizationContract):
    plugin = "squeezellm"
    method = "squeezellm"
    configs = {
        "4 bits": config(4),
        "3 bits": config(3),
        "4 bits, sparse": config(4, include_sparse=True),
        "3 bits, sparse": config(3, include_sparse=True),
        "4 bits, sparse, full rows": config(4, include_sparse=True, topX=2),
    }

    def store(self, weight_NK, config):
        bits, weight_NK = config["wbits"], weight_NK.double()
        table_NL = tables(weight_NK, bits)
        kept_NK = weight_NK.clone()
        added_NK = torch.zeros_like(weight_NK)
        if config.get("include_sparse"):
            limit = weight_NK.abs().quantile(1 - OUTLIERS)
            outside = weight_NK.abs() > limit
            nearest_N1 = table_NL.gather(1, table_NL.abs().argmin(1, keepdim=True)).double()
            kept_NK[outside] = 0
            added_NK[outside] = (weight_NK - nearest_N1)[outside].float().double()
        codes_NK = (kept_NK.unsqueeze(-1) - table_NL.unsqueeze(1)).abs().argmin(-1)
        packed = [words(row, bits) for row in codes_NK.tolist()]
        tensors = {
            "qweight": torch.tensor(packed, dtype=torch.int32).T.contiguous(),
            "lookup_table": table_NL,
        }
        values_NK = table_NL.double().gather(1, codes_NK)
        if config.get("topX"):
            which = torch.tensor([3, 17][: config["topX"]])
            full = weight_NK[which].float() / 2
            tensors["full_rows"], tensors["full_row_indices"] = full.T.contiguous(), which.int()
            values_NK[which] += full.double()
        if config.get("include_sparse"):
            places = added_NK.nonzero()
            ends = (added_NK != 0).sum(1).cumsum(0)
            tensors["rows"] = torch.cat((torch.zeros(1), ends)).int()
            tensors["cols"] = places[:, 1].int()
            tensors["vals"] = added_NK[tuple(places.T)].float()
        return tensors, values_NK + added_NK


@pytest.mark.parametrize(
    ("change", "message"),
    [({"wbits": 2}, "wbits is 2, expected one of 3, 4"), ({"topX": "many"}, "topX is 'many'")],
)
def test_what_is_not_read_is_refused(change, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        SqueezeMethod.from_config(config(4) | change)


def test_inputs_that_do_not_pack_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"layer\.proj: its 80 inputs"):
        SqueezeMatrix(4, False, 0).tensors("layer.proj", 64, 80)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [0, 2, 1, 2, 3]}, "rows does not cut its 3 outliers"),
        ({"rows": [0, 1, 1, 2, 2]}, "rows does not cut its 3 outliers"),
        ({"cols": [0, 32, 5]}, "cols has inputs that are not there"),
        ({"vals": [1.0, 2.0]}, "3 cols and 2 vals"),
        ({"full_row_indices": [4]}, "full_row_indices has rows"),
    ],
)
def test_outliers_that_are_nowhere_are_refused(change, message) -> None:
    stored = {
        "qweight": torch.zeros(4, 4, dtype=torch.int32),
        "lookup_table": torch.zeros(4, 16),
        "rows": torch.tensor([0, 1, 1, 2, 3], dtype=torch.int32),
        "cols": torch.tensor([0, 31, 5], dtype=torch.int32),
        "vals": torch.ones(3),
        "full_rows": torch.ones(32, 1),
        "full_row_indices": torch.tensor([3], dtype=torch.int32),
    }
    for name, values in change.items():
        stored[name] = torch.tensor(values, dtype=stored[name].dtype)
    with pytest.raises(CheckpointError, match=message):
        SqueezeMatrix(4, True, 1).weight("layer.proj", stored)
