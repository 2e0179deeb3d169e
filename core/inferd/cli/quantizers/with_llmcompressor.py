"""Runs in llmcompressor's environment: reads a job as JSON, writes a checkpoint."""

from __future__ import annotations

import json
import sys

from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier

SCHEMES = {"fp8": "FP8_DYNAMIC", "fp8-static": "FP8", "fp8-block": "FP8_BLOCK", "int8": "W8A8"}
MOST_TOKENS = 2048  # of a text

job = json.load(sys.stdin)
modifier = GPTQModifier if job["to"] == "int8" else QuantizationModifier
recipe = modifier(targets="Linear", scheme=SCHEMES[job["to"]], ignore=["lm_head"])
options = {}
if job["texts"]:
    options = {
        "dataset": Dataset.from_dict({"text": job["texts"]}),
        "num_calibration_samples": len(job["texts"]),
        "max_seq_length": MOST_TOKENS,
    }
oneshot(model=job["model"], recipe=recipe, output_dir=job["output"], **options)
