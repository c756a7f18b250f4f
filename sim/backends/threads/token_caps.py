"""What `max_prompt_tokens` and `max_completion_tokens` of a run do to its turns.

Documented: they hold over all turns of a run together, and a run that exceeds one ends `incomplete`, with its name as the
reason. Inferred: of the prompt, messages before the newest are dropped as far as need be, and only what is left then
(instructions, tool outputs, the newest message) can exceed; a text is cut where its tokens are used up.
"""

from __future__ import annotations

from relaysim.sim.backends.replies import Ending, FileSearch, Incomplete, Nothing, Reply, Several, Text, ToolCalls
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.usage import tokens_of_messages
from relaysim.sim.backends.tokens import BYTES_PER_TOKEN, tokens_of_text


def prompt_tokens(run: RunRecord) -> int:
    """What the present turn reads, in tokens."""
    least, others = _least_prompt(run), tokens_of_messages(run.thread.messages[:-1])
    cap = run.view["max_prompt_tokens"]
    return least + others if cap is None else least + min(others, max(0, cap - run.prompt_tokens - least))


def within_caps(run: RunRecord, reply: Reply) -> Reply:
    """The reply as far as the run's caps let it."""
    view = run.view
    cap = view["max_prompt_tokens"]
    if cap is not None and run.prompt_tokens + _least_prompt(run) > cap:
        return Incomplete("", "max_prompt_tokens")
    cap = view["max_completion_tokens"]
    return reply if cap is None else _cut(reply, cap - run.completion_tokens)


def _least_prompt(run: RunRecord) -> int:
    outputs = sum(tokens_of_text(output["output"]) for output in run.tool_outputs)
    return tokens_of_messages(run.thread.messages[-1:]) + tokens_of_text(run.view["instructions"]) + outputs


def _cut(reply: Reply, left: int) -> Reply:
    if not isinstance(reply, Several):
        return _cut_ending(reply, left)
    kept: list[Text | Nothing | FileSearch] = []
    for each in reply.before:
        tokens = tokens_of_text(each.text) if isinstance(each, Text) else 0
        if isinstance(each, Text) and tokens > left:
            return _with(kept, _cut_ending(each, left))
        kept.append(each)
        left -= tokens
    return _with(kept, _cut_ending(reply.ending, left))


def _with(kept: list[Text | Nothing | FileSearch], ending: Ending) -> Reply:
    return Several(tuple(kept), ending) if kept else ending


def _cut_ending(ending: Ending, left: int) -> Ending:
    if isinstance(ending, ToolCalls):
        tokens = sum(tokens_of_text(call.name + call.arguments) for call in ending.calls)
        return Incomplete("") if tokens > left else ending
    if not isinstance(ending, Text | Incomplete) or tokens_of_text(ending.text) <= left:
        return ending
    cut = ending.text.encode()[: max(0, left) * BYTES_PER_TOKEN].decode(errors="ignore")
    return Incomplete(cut)
