"""What `inferd plugins new` writes for each kind; the text itself stands in templates/."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """How a plugin of one kind is named, and what it adds as written."""

    prefix: str  # of its distribution and package
    module: str
    suffix: str  # of its class
    contract: str  # "module:Class" of what the class implements
    summary: str
    usage: str
    attr: str = ""  # where the target is no class
    key: str = ""  # where the name does not serve as the key of the registry


WRITTEN = {
    "models": Kind(
        "models",
        "model",
        "ForCausalLM",
        "inferd.contracts.model:CausalLM",
        "a model family, as written AFM of Arcee",
        "Checkpoints choose it by their architecture.",
        key="ArceeForCausalLM",
    ),
    "attention": Kind(
        "attention",
        "backend",
        "Attention",
        "inferd.contracts.attention:AttentionBackend",
        "an attention backend",
        "It competes with the others: `inferd plugins why attention MODEL` shows who wins, and "
        "`--attention-backend NAME` insists on it.",
    ),
    "quantization": Kind(
        "quant",
        "method",
        "Method",
        "inferd.contracts.quantization:QuantizationMethod",
        "a weight format, as written int8 by row",
        "Checkpoints choose it by their quant_method.",
    ),
    "ops": Kind(
        "ops",
        "provider",
        "Ops",
        "inferd.contracts.ops:OpProvider",
        "ops for layers",
        "`inferd plugins why ops MODEL` shows who provides ops.",
    ),
    "loaders": Kind(
        "loader",
        "loader",
        "Loader",
        "inferd.contracts.loader:WeightLoader",
        "a checkpoint format",
        "`--load-format NAME` insists on it.",
    ),
    "platforms": Kind(
        "hw",
        "platform",
        "Platform",
        "inferd.contracts.platform:Platform",
        "a hardware platform",
        "`--platform NAME` insists on it.",
    ),
    "logits_processors": Kind(
        "logits",
        "processor",
        "Processor",
        "inferd.contracts.logits_processor:LogitsProcessor",
        "a logits processor",
        "`--NAME.scale 0.5` switches it on.",
    ),
    "grammars": Kind(
        "grammar",
        "backend",
        "Backend",
        "inferd.contracts.grammar:GrammarBackend",
        "a back end of structured outputs, as written for choices alone",
        "Registered as `tuned` it competes with the others; `--plugins no:OTHER` leaves those out.",
    ),
    "tool_parsers": Kind(
        "parser",
        "parser",
        "Parser",
        "inferd.contracts.output_parser:OutputParser",
        "a parser of tool calls",
        "Chat templates that it supports choose it; `--tool-call-parser NAME` insists on it.",
    ),
    "reasoning_parsers": Kind(
        "parser",
        "parser",
        "Parser",
        "inferd.contracts.output_parser:OutputParser",
        "a parser of reasoning",
        "Chat templates that it supports choose it; `--reasoning-parser NAME` insists on it.",
    ),
    "schedule_policies": Kind(
        "policy",
        "policy",
        "Policy",
        "inferd.contracts.policy:SchedulePolicy",
        "a schedule policy, as written short prompts first",
        "`--scheduling-policy NAME` chooses it.",
    ),
    "executors": Kind(
        "executor",
        "executor",
        "Executor",
        "inferd.contracts.executor:Executor",
        "an executor",
        "`--executor NAME` chooses it.",
    ),
    "commands": Kind(
        "command",
        "command",
        "Command",
        "inferd.contracts.command:Command",
        "a command",
        "`inferd NAME` runs it.",
    ),
    "routes": Kind(
        "routes",
        "routes",
        "",
        "typing:Any",
        "an HTTP route",
        "`inferd serve` then answers GET /NAME.",
        attr="build",
    ),
    "stat_loggers": Kind(
        "stats",
        "logger",
        "Logger",
        "inferd.contracts.stat_logger:StatLogger",
        "a receiver of engine statistics",
        "`inferd serve` calls it at intervals.",
    ),
}
