"""S6: whose words a reply is."""

from __future__ import annotations

from relaysim.sim.trace.subjects import Text
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History


def check_replies(history: History, findings: Findings) -> None:
    """S6: a reply goes to its thread's conversation, is by a run that covers every message it names, and its worker had
    seen that very run's end: by asking for it, or in a list of runs. Reading "the newest message" shows neither.

    Would miss: the newest message read in the place of the run's own, where both are the same run's; replies that name
    no message.
    """
    for send in history.sends:
        if send.run is None or not send.names:
            continue
        findings.check("S6")
        text = _wrong_reply(history, send)
        if text is not None:
            findings.breach(
                "S6",
                text,
                message=send.names[0],
                conversation=send.conversation,
                run=send.run.id,
                received=[send.text],
            )


def _wrong_reply(history: History, send: Text) -> str | None:
    run = send.run
    assert run is not None
    owner = history.threads.get(run.thread, send.conversation)
    if owner != send.conversation:
        return f"a reply on {owner}'s {history.roles.words.thread} was sent to {send.conversation} at {at(send.time)}"
    unseen = [each for each in send.names if not history.covers(run, each)]
    if unseen:
        return f"the reply sent for {', '.join(unseen)} at {at(send.time)} is by {run.id}, which never saw it"
    if not send.informed:
        what = history.roles.words.run
        return f"{send.worker} sent the words of {run.id} at {at(send.time)}, and had not seen that {what} end"
    return None
