"""ModelRunner: a worker's device, model, cache, request table and sampler.

Shape suffixes: B blocks, S slots per block, G KV heads, E head size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from inferd.contracts.executor import WorkerInfo
from inferd.errors import OutOfMemory
from inferd.runner.build import Built, build, summary
from inferd.runner.forward import Forward, Forwarded
from inferd.runner.inputs import InputBuilder
from inferd.runner.prompt_logprobs import PromptLogprobs
from inferd.runner.request_table import RequestTable
from inferd.runner.results import Pending
from inferd.runner.row_sampler import RowSampler
from inferd.sampling.warm_up import warm_up
from inferd.types import RowStart, StepPlan, StepResult

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig
    from inferd.host.host import Host


class ModelRunner:
    """Executes plans in their order. Not thread-safe; `collect` may run in another thread.

    Raises what loading raises: PluginError, UnsupportedModel, CheckpointError, DoesNotFit.
    """

    def __init__(self, config: EngineConfig, host: Host) -> None:
        with torch.inference_mode():
            self._setup(build(config, host), config, host)

    def _setup(self, built: Built, config: EngineConfig, host: Host) -> None:
        self.built = built
        device = built.choices.platform.device
        block_size = config.cache.block_size
        self.table = RequestTable(
            built.scheduler.max_num_seqs,
            built.cache.max_model_len,
            block_size,
            len(built.groups.specs),
            device,
        )
        inputs = InputBuilder(
            self.table, built.choices.ops.prepare_inputs, block_size, built.cache.num_blocks
        )
        self._forward = Forward(
            built, self.table, inputs, block_size, eager=config.model.enforce_eager
        )
        registry = host.catalog.logits_processors
        processors = [registry.make(registry.load(name)) for name in registry.names]
        self._sampler = RowSampler(self.table, built.model, built.choices.ops, processors)
        self._prompt_logprobs = PromptLogprobs(built.model, self.table, built.choices.ops)
        self._last_step: int | None = None
        self._forwarded: Forwarded | None = None
        self._pending: deque[Pending] = deque()
        self.info = self._described(block_size, self._warm_up(built, config))

    def _described(self, block_size: int, num_graphs: int) -> WorkerInfo:
        built = self.built
        return WorkerInfo(
            max_model_len=built.cache.max_model_len,
            vocab_size=built.config.vocab_size,
            num_blocks=built.cache.num_blocks,
            block_size=block_size,
            groups=tuple((spec.kind, spec.window) for spec in built.groups.specs),
            summary={
                **summary(built),
                "host_processors": self._sampler.host_processors,
                "num_graphs": num_graphs,
            },
            scheduler=dict(built.choices.platform.scheduler_defaults),
        )

    def _warm_up(self, built: Built, config: EngineConfig) -> int:
        """Run or record whatever steps are made of; returns how many steps were recorded."""
        choices, most_tokens = built.choices, built.scheduler.max_num_batched_tokens
        recorded = self._forward.recordable and not config.model.enforce_eager
        device, vocab_size = choices.platform.device, built.config.vocab_size
        if device.type != "cpu":
            sampling = partial(warm_up, choices.ops, vocab_size, built.config.dtype, device)
            with choices.rehearsal():
                if recorded:
                    self._forward.rehearse(most_tokens)
                sampling()
            sampling()
        built.phases.end("warm_up", choices.platform)
        num_graphs = self._forward.record(most_tokens) if recorded else 0
        built.phases.end("recording", choices.platform)
        for provider in choices.op_providers.values():
            provider.warmed_up()
        return num_graphs

    def forward(self, plan: StepPlan) -> None:
        """First launch: apply the plan's diffs, run the model, keep the logits.

        Raises RuntimeError for a plan that is not the next one: its diffs would not fit.
        """
        if plan.restart:
            self._last_step = None
        self._check_number(plan.step_id)
        with torch.inference_mode():
            self._apply_diffs(plan)
            self._forwarded = self._forward(plan)

    def sample(self, step_id: int) -> None:
        """Second launch: next tokens of the step whose forward came last, into the table."""
        done, self._forwarded = self._forwarded, None
        if done is None or done.plan.step_id != step_id:
            raise RuntimeError(f"step {step_id} is to be sampled, but its forward was not the last")
        with torch.inference_mode():
            tokens, logprobs, errors = None, None, self._sampler.errors_of(done.plan.rows)
            if done.step is not None:
                tokens, logprobs = self._sampler.sample(done, done.step, errors)
            wanted = self._prompt_logprobs.wanted(done.plan)
            prompt = self._prompt_logprobs.compute(wanted, done.hidden_TD)
            pairs = list(zip(wanted, prompt, strict=True))
            self._pending.append(Pending(done.plan, tokens, logprobs, pairs, errors))

    def within_memory(self, launch: Callable[[], None]) -> OutOfMemory | None:
        """Run a launch. What it returns says that it, and with it the step, needed too much."""
        try:
            launch()
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            text = str(error).splitlines()[0]
        else:
            return None
        self._forwarded = None  # here, where the exception holds none of the step's tensors
        self.built.choices.platform.free_memory()
        return OutOfMemory(text)

    def collect(self) -> StepResult:
        """The oldest step that was sampled; waits for the device."""
        return self._pending.popleft().result()

    def _check_number(self, step_id: int) -> None:
        last = self._last_step
        if last is not None and step_id != last + 1:
            raise RuntimeError(
                f"plan {step_id} came after plan {last}: this worker's request table is out of "
                "date; rebuild it from a snapshot"
            )
        self._last_step = step_id

    def _apply_diffs(self, plan: StepPlan) -> None:
        if plan.new_rows:
            self._start_rows(plan.new_rows)
        if plan.new_blocks:
            self.table.append_blocks(plan.new_blocks)
        if plan.new_tokens:
            self.table.append_tokens(plan.new_tokens)
        for source, target in plan.copies:
            for k_BSGE, v_BSGE in dict.fromkeys(self.built.caches):
                k_BSGE[target] = k_BSGE[source]
                v_BSGE[target] = v_BSGE[source]

    def _start_rows(self, starts: list[RowStart]) -> None:
        self.table.start_rows(starts)
        for start in starts:
            self._prompt_logprobs.start(start)
            self._sampler.admit(start)


def _is_out_of_memory(error: Exception) -> bool:
    """On a CPU torch raises a RuntimeError that says no more."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error)
