"""The pipeline: the stages of the command path in order, with a gate before and after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_specbench.agents.base import AgentOutcome, AgentTask, Shell
from pytest_specbench.agents.models.base import ModelClient
from pytest_specbench.agents.orchestrator.budget import Budget
from pytest_specbench.agents.orchestrator.gates import Gates
from pytest_specbench.agents.orchestrator.loop import StageLoop
from pytest_specbench.agents.orchestrator.options import OrchestratorOptions
from pytest_specbench.agents.orchestrator.prompts import SYSTEM_PROMPT, StagePrompt, load_stage_prompt
from pytest_specbench.agents.orchestrator.stages import Stage, parse_command_path
from pytest_specbench.core.errors import AgentError
from pytest_specbench.core.status import Cause
from pytest_specbench.recording.journal import Journal


@dataclass(frozen=True)
class Pipeline:
    """One run of the orchestrator. `on_stage` is told each stage's name when it starts."""

    task: AgentTask
    model: ModelClient
    shell: Shell
    journal: Journal
    budget: Budget
    options: OrchestratorOptions = field(default_factory=OrchestratorOptions)
    on_stage: Callable[[str], None] = lambda _: None

    def run(self) -> AgentOutcome:
        """Go through the stages.

        What fails by the agent's doing, its deadline too, is an outcome with the usage so far; BlockedError and
        InfrastructureError go through.
        """
        notes: list[str] = []
        try:
            self._stages(notes)
            self.model.finish(content=True)
        except AgentError as error:
            self._journal_end(error)
            if error.cause is not Cause.AGENT_TIMEOUT:
                self.model.finish(content=False)
            return AgentOutcome(error.cause, error.message, 1, self.budget.usage(), tuple(notes))
        return AgentOutcome(usage=self.budget.usage(), notes=tuple(notes))

    def _stages(self, notes: list[str]) -> None:
        stages = parse_command_path(self.task.command_path)
        gates = Gates(self.shell)
        loop = StageLoop(self.model, self.shell, self.journal, self.budget, self.options, self.task.deadline)
        self.journal.message("system", SYSTEM_PROMPT)
        # All of them before the first stage: what an agent does to the command files is no fault of the project's.
        prompts = {stage.name: load_stage_prompt(self.shell, stage.name, self.task.instruction) for stage in stages}
        for number, stage in enumerate(stages):
            follows = number > 0 and stages[number - 1].makes == stage.needs
            if not follows:  # the gate after the stage before has just looked at the same file
                gates.before(stage)
            notes.append(self._stage(stage, prompts[stage.name], gates, loop))

    def _stage(self, stage: Stage, prompt: StagePrompt, gates: Gates, loop: StageLoop) -> str:
        self.journal.event("stage_start", stage=stage.name, prompt=prompt.path)
        self.on_stage(stage.name)
        commands = loop.run(stage.name, prompt.text)
        if commands == 0:
            raise AgentError(f"stage {stage.name!r} ended without a single command", cause=Cause.AGENT_GAVE_UP)
        made = gates.after(stage)
        self.journal.event("stage_end", stage=stage.name, commands=commands, artifact=made)
        return f"stage {stage.name}: prompt {prompt.path}, artifact {made}"

    def _journal_end(self, error: AgentError) -> None:
        """Take down why it ended, where the journal still takes anything."""
        try:
            self.journal.event("agent_failed", cause=str(error.cause), reason=error.message)
        except AgentError:
            return  # the phase is over and the journal closed
