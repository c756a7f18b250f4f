"""The script of the endpoints beside a conversation API."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from relaysim.sim.backends.replies import EchoReplies, WrittenReplies
from relaysim.sim.kernel.distributions import Seconds


class OtherEndpointsSettings(BaseModel):
    """What the endpoints answer that bots call beside the conversation API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chat: WrittenReplies = Field(
        default_factory=EchoReplies,
        description="what chat completions say: a script's turns are counted by the answers of the assistant that a request "
        "brings",
    )
    seconds: Seconds | None = Field(
        default=None,
        description="how long a completion, a transcription or speech takes, beside the request's own way; absent: as long "
        "as a turn of the profile (`run_seconds`)",
    )
    transcriptions: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="the texts of transcribed recordings, in the order of the requests, and then from the first again; "
        "absent: `Transcription of FILE`",
    )


ECHOING: Final = OtherEndpointsSettings()
"""Nothing is scripted."""
