"""Every way to pack keeps the contract."""

from __future__ import annotations

from gptq_writer import store

from inferd.testing import QuantizationContract


def config(bits: int, size: int = 32, version: int = 1, **more):
    written = "gptq" if version == 1 else "gptq_v2"
    return {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": size,
        "sym": True,
        "checkpoint_format": written,
        **more,
    }


class TestContract(QuantizationContract):
    plugin = "gptq"
    method = "gptq"
    configs = {
        "2 bits": config(2, sym=False),
        "3 bits": config(3),
        "3 bits, v2, asymmetric, act-order": config(3, 64, 2, sym=False, desc_act=True),
        "4 bits, one group": config(4, -1),
        "4 bits, groups of 128, act-order": config(4, 128, desc_act=True),
        "4 bits, asymmetric": config(4, sym=False),
        "4 bits, v2, asymmetric": config(4, 64, 2, sym=False),
        "8 bits": config(8),
        "8 bits, v2, asymmetric": config(8, 128, 2, sym=False),
    }

    def store(self, weight_NK, config):
        version = 1 if config["checkpoint_format"] == "gptq" else 2
        act_order = config.get("desc_act", False)
        return store(
            weight_NK,
            config["bits"],
            config["group_size"],
            sym=config["sym"],
            version=version,
            act_order=act_order,
        )
