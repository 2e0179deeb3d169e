"""lm-eval's log-likelihoods over HTTP are those of transformers, on the same weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from served import serving

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3]))  # bench/

from bench.peers.gguf_source import Source
from bench.peers.hf_directory import write_hf
from programs import HERE, python_of, run

from inferd.loading.sources import resolve

pytestmark = pytest.mark.slow
ROOT = HERE.parents[2]
NUM_LINES = 200
TASK = """\
task: lines
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{context}}"
doc_to_target: "{{continuation}}"
target_delimiter: ""
metric_list: [{metric: perplexity}]
"""


def lines() -> Iterator[dict[str, str]]:
    """Lines of the pages here, cut in half between two words."""
    pages = sorted(ROOT.glob("docs/**/*.md"))
    texts = [text for page in pages for text in page.read_text().splitlines()]
    for text in (text.strip() for text in texts):
        if 60 < len(text) < 120 and text.isascii() and not text.startswith(("|", "#", "-")):
            at = text.find(" ", len(text) // 2 - 15)
            if at > 0:
                yield {"context": text[:at], "continuation": text[at:]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    room = ["--kv-cache-memory-bytes", str(256 << 20)]
    with serving("smollm2", "--port", "0", "--dtype", "float32", *room) as served:
        yield served.event("ready")["url"]


def harness(url: str, data: list[dict[str, str]], folder: Path) -> list[float]:
    """What lm-eval finds for each line."""
    file = folder / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in data))
    (folder / "lines.yaml").write_text(TASK.replace("DATA", str(file)))
    model = f"model=smollm2,base_url={url}/v1/completions,num_concurrent=8,tokenizer_backend=remote"
    command = [python_of("lm_eval"), "-m", "lm_eval", "run", "--model", "local-completions"]
    options = ["--model_args", model, "--tasks", "lines", "--include_path", folder, "--log_samples"]
    offline = {"HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder)}
    run([*command, *options, "--output_path", folder / "out"], timeout=1500, **offline)
    (samples,) = (folder / "out").rglob("samples_*.jsonl")
    told = map(json.loads, samples.read_text().splitlines())
    found = sorted(told, key=lambda sample: sample["doc_id"])
    return [float(sample["filtered_resps"][0][0]) for sample in found]


@torch.inference_mode()
def oracle(data: list[dict[str, str]], folder: Path) -> list[float]:
    """The same from transformers, in float32."""
    write_hf(Source.open(resolve("smollm2")), folder, torch.float32)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for line in data:
        ids = tokenizer.encode(line["context"] + line["continuation"])
        start = len(tokenizer.encode(line["context"]))
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        found.append(sum(float(logprobs[at - 1, ids[at]]) for at in range(start, len(ids))))
    return found


@pytest.mark.timeout(1800)
def test_log_likelihoods_are_transformers(url: str, tmp_path: Path) -> None:
    data = list(lines())[:NUM_LINES]
    assert len(data) == NUM_LINES
    found, wanted = harness(url, data, tmp_path), oracle(data, tmp_path / "hf")
    worst = max(abs(ours - theirs) for ours, theirs in zip(found, wanted, strict=True))
    print(f"{NUM_LINES} lines, largest difference {worst:.1e}")
    assert worst < 1e-3
