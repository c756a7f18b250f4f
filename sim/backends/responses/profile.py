"""What a profile of Responses has beside the numbers of every API: switches where reports disagree, each with its grade.

The defaults are the newest evidence for OpenAI's service. A scenario sets a switch like any number of a profile
(`profile_overrides = { lock = "none" }`), and may sweep over it. `queue_seconds` is the time in `queued` of a turn in the
background, and part of a foreground one's; `run_seconds`, `cancel_seconds`, `stuck_probability` and
`stuck_cancel_seconds` are of turns as of runs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relaysim.sim.backends.profile import Profile

Lock = Literal["openai400", "foundry409", "none", "steer"]
Kept = Literal["nothing", "input", "orphan_call"]
Left = Literal["runs_on", "cancels"]


class ResponsesProfile(Profile):
    """Latencies, fault rates and switches of one backend of Responses."""

    lock: Lock = Field(
        default="openai400",
        description="how a busy conversation answers a second turn: 400 conversation_locked (captured), Foundry's 409 "
        "(executed), `none`: both run (executed on its default host), `steer`: the second one is queued and the first "
        "one superseded (executed), and only the newest response can be continued (read)",
    )
    abandoned_stream: Left = Field(
        default="runs_on",
        description="a stream whose reader has gone: its turn keeps the lock to its end (relied on by public clients), or "
        "is cancelled (executed on Foundry's host)",
    )
    abandoned_call: Left = Field(
        default="cancels",
        description="a foreground call whose client has gone: closing the connection stops its turn (documented), or not",
    )
    unfinished_keeps: Kept = Field(
        default="nothing",
        description="what the conversation keeps of a turn that failed, was cancelled, or whose stream was abandoned: "
        "nothing (captured, July to September 2026), its input, or its input and its function calls without their "
        "outputs (captured, April and May 2026)",
    )
    items_while_locked: Literal["accepted", "refused"] = Field(
        default="accepted",
        description="items.create, items.delete and deletion of a conversation that a turn works on: not known; accepted "
        "(inferred), or refused as a second turn is",
    )
    stuck_queued_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of turns in the background that stay `queued` for ever (captured: 10 minutes at least)",
    )
    turn_limit_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="a turn that has not ended so long after its creation fails; that there is such a limit is assumed",
    )
