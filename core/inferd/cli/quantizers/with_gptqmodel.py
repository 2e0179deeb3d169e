"""Runs in gptqmodel's environment: reads a job as JSON, writes a checkpoint."""

from __future__ import annotations

import json
import os
import sys

# by itself 7.5 takes one for two cores, and then wants two
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
from gptqmodel.quantization import FORMAT, METHOD

job = json.load(sys.stdin)
backend = BACKEND.AUTO
if job["to"] == "awq":
    kind = {"method": METHOD.AWQ, "format": FORMAT.GEMM, "sym": False}
    backend = BACKEND.AWQ_TORCH  # packs on any machine; by itself it wants CUDA
else:
    kind = {"method": METHOD.GPTQ, "format": FORMAT.GPTQ, "desc_act": job["act_order"]}
config = QuantizeConfig(bits=job["bits"], group_size=job["group_size"], **kind)
model = GPTQModel.load(job["model"], config)
model.quantize(job["texts"], batch_size=1, backend=backend)
model.save(job["output"])
