"""What the control API takes and gives about runs and their states, as models."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from relaysim.sim.backends.threads.states import Status

_TABLE: Final = ConfigDict(extra="forbid", frozen=True)

# Runs


class RunsQuery(BaseModel):
    """Which runs to show."""

    model_config = _TABLE
    state: list[Status] = Field(default=[], description="only runs in this state; can be given several times")
    thread: str | None = Field(default=None, description="only runs of this thread")
    limit: int = Field(default=1000, ge=1, le=10_000, description="runs at most; the newest are shown")


class RunEntry(BaseModel):
    """A run."""

    model_config = _TABLE
    id: str = Field(description="as the API shows it", examples=["run_0123456789abcdefghijABCD"])
    thread_id: str = Field(description="its thread's id", examples=["thread_0123456789abcdefghijABCD"])
    state: Status = Field(description="where it is in the table of states")
    created_virtual_seconds: float = Field(description="when it was created, in virtual time")
    locks_thread: bool = Field(description="whether it keeps its thread from being written to")
    stuck: bool = Field(description="whether it will never finish by itself")
    moves: list[Status] = Field(description="the states that it can go to from here")


class Runs(BaseModel):
    """Runs, newest first."""

    model_config = _TABLE
    runs: list[RunEntry]
    total: int = Field(description="how many there are, shown or not")


class Move(BaseModel):
    """Where a run is to go."""

    model_config = _TABLE
    state: Status = Field(
        description="a state that the table of moves leads to from the run's own", examples=["completed"]
    )


# The table of states


class StateEntry(BaseModel):
    """A run state."""

    model_config = _TABLE
    name: Status = Field(description="as the API writes it")
    terminal: bool = Field(description="whether it ends the run")
    locks_thread: bool = Field(description="whether the run keeps its thread from being written to")
    lock_evidence: str = Field(description="what the statement about the lock rests on")


class MoveEntry(BaseModel):
    """A possible move of a run."""

    model_config = _TABLE
    source: Status | None = Field(description="null: the run's creation")
    target: Status = Field(description="the state that it leads to")
    trigger: str = Field(description="what moves the run")
    evidence: str = Field(description="what the row rests on")


class RuleEntry(BaseModel):
    """What the API answers to a request, in some states of the run that it names, or of its thread's newest run."""

    model_config = _TABLE
    request: str = Field(description="an operation's name", examples=["messages.create"])
    states: list[str] = Field(description="where the rule holds; `no run`: the thread has had none")
    answer: Literal["accepted", "refused", "impossible"] = Field(description="`impossible`: the two cannot meet")
    refusal: str | None = Field(description="which error refuses it")
    target: Status | None = Field(description="the state that the request moves the run to, or creates one in")
    evidence: str = Field(description="what the row rests on")


class States(BaseModel):
    """The table of run states that the simulated API goes by."""

    model_config = _TABLE
    states: list[StateEntry]
    moves: list[MoveEntry]
    rules: list[RuleEntry]
    evidence: dict[str, str] = Field(description="what each kind of evidence means")
    expiry_seconds: float = Field(description="a run expires this long after its creation")
    mermaid: str = Field(description="the moves as a Mermaid state diagram; a question mark: inferred")
