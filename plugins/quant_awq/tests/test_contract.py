"""AWQ's packing, number by number, and what is refused."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import UnsupportedModel
from inferd.testing import QuantizationContract
from inferd_quant_awq.method import AwqMatrix, AwqMethod

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # outputs of a word, from its lowest bits on


def config(size: int, **more):
    usual = {"quant_method": "awq", "bits": 4, "zero_point": True, "version": "gemm"}
    return {**usual, "group_size": size, **more}


def words(codes: list[int]) -> list[int]:
    """Eight outputs in a word."""
    packed = [
        sum(codes[start + output] << 4 * place for place, output in enumerate(ORDER))
        for start in range(0, len(codes), 8)
    ]
    return [word - (1 << 32) if word >> 31 else word for word in packed]


class TestContract(QuantizationContract):
    plugin = "awq"
    method = "awq"
    configs = {
        "groups of 32": config(32),
        "groups of 64": config(64, modules_to_not_convert=["gate"]),
        "groups of 128": config(128, version="GEMM"),
        "symmetric": config(64, zero_point=False),
        "one group": {"quant_method": "awq", "w_bit": 4, "q_group_size": -1},
    }

    def store(self, weight_NK, config):
        rows, columns = weight_NK.shape
        size = config.get("group_size", config.get("q_group_size"))
        grouped = weight_NK.double().view(rows, -1, columns if size == -1 else size)
        low, high = grouped.amin(2).clamp(max=0), grouped.amax(2).clamp(min=0)
        if not config.get("zero_point", True):
            reach = torch.maximum(-low / 8, high / 7)
            low, high = -8 * reach, 7 * reach
        scales_NG = ((high - low) / 15).half()
        zeros_NG = (-low / scales_NG.double()).round().clamp(0, 15)
        codes = grouped / scales_NG.double().unsqueeze(-1) + zeros_NG.unsqueeze(-1)
        codes = codes.round().clamp(0, 15)
        values = (codes - zeros_NG.unsqueeze(-1)) * scales_NG.double().unsqueeze(-1)
        tensors = {"scales": scales_NG.T.contiguous()}
        for name, found in (("qweight", codes.view(rows, -1)), ("qzeros", zeros_NG)):
            packed = [words(row) for row in found.T.long().tolist()]
            tensors[name] = torch.tensor(packed, dtype=torch.int32)
        return tensors, values.view(rows, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 3}, "bits is 3, expected 4"),
        ({"version": "gemv"}, "version is 'gemv', expected 'gemm'"),
        ({"group_size": "many"}, "group_size is 'many'"),
    ],
)
def test_what_is_not_read_is_refused(change, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        AwqMethod.from_config(config(128) | change)


@pytest.mark.parametrize(
    ("shape", "message"), [((64, 192), "groups of 128 do not"), ((60, 256), "60 outputs")]
)
def test_shapes_that_do_not_pack_are_refused(shape, message) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        AwqMatrix(128).tensors("layer.proj", *shape)
