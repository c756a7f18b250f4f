"""What kept replications from showing anything of their relay and was not its fault, added up and put into words.

`relaysim.sim.world.obstacles` says what it is in one world. A world in which the relay called what is not simulated does
not count. An exception out of nothing that ended most handlings which met no trouble makes the whole scenario say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from relaysim.sim.backends.other_endpoints.routes import SIMULATED_AS
from relaysim.sim.counted import counted
from relaysim.sim.world.obstacles import IN_LANE_DIRECT

EVENTS: Final = "--set 'events={}' (in a scenario: a table [events]; docs/own-bot.md)"
"""How the API's webhooks are sent."""
_NO_SUCH_PATH, _NOT_LET_IN = ("status 404", "status 405"), ("status 401", "status 403")


def _remedy(what: str) -> str:
    """What to do about an exception that ends most handlings, or a response that acknowledges none of them."""
    if what.startswith(_NO_SUCH_PATH):
        return "name the path of the bot's webhook with --path"
    if what.startswith(_NOT_LET_IN):
        return (
            "give the bot the secret that webhooks are signed with (docs/providers.md names the variables that have it), by "
            "--set environment.NAME=VALUE or --set provider.secret=VALUE"
        )
    return "mend that line, or what the factory gives it"


@dataclass(slots=True)
class Obstacles:
    """Of some replications.

    Attributes:
        aside: how many do not count.
        unsimulated: in how many of those each call was made.
        elsewhere: in how many of those an answer was sent that a chat completion wrote.
        calm: how many handlings of the others met no trouble; of replications without such an exception, all.
        raised: how many of those each exception ended.
        unheard: in how many turns ended that the relay had asked for in the background, and had not looked at.
        said: what each of those exceptions said; of several texts the first by the alphabet.
    """

    aside: int = 0
    unsimulated: dict[str, int] = field(default_factory=dict)
    calm: int = 0
    raised: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    elsewhere: int = 0
    unheard: int = 0

    def add(self, found: Mapping[str, Any], handlings: int) -> bool:
        """Add those of one replication, which had so many handlings; returns whether that replication does not count."""
        for call in found.get("unsimulated", ()):
            self.unsimulated[call] = self.unsimulated.get(call, 0) + 1
        self.elsewhere += "elsewhere" in found
        self.unheard += "unheard" in found
        if found.get("unsimulated") or "elsewhere" in found:
            self.aside += 1
            return True
        self.calm += found.get("calm", handlings)
        self._add_raised(found.get("raised", {}), found.get("said", {}))
        return False

    def merge(self, other: Obstacles) -> None:
        """Add other replications'."""
        self.aside += other.aside
        self.elsewhere += other.elsewhere
        self.unheard += other.unheard
        self.calm += other.calm
        for call, count in other.unsimulated.items():
            self.unsimulated[call] = self.unsimulated.get(call, 0) + count
        self._add_raised(other.raised, other.said)

    def _add_raised(self, raised: Mapping[str, int], said: Mapping[str, str]) -> None:
        for what, count in raised.items():
            self.raised[what] = self.raised.get(what, 0) + count
            self.said[what] = min(self.said.get(what, said[what]), said[what])

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain data, fit for JSON, without what is nothing; `from_plain` reads it."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Obstacles:
        """What `to_plain` wrote."""
        return cls(
            aside=plain.get("aside", 0),
            unsimulated=dict(plain.get("unsimulated", {})),
            calm=plain.get("calm", 0),
            raised=dict(plain.get("raised", {})),
            said=dict(plain.get("said", {})),
            elsewhere=plain.get("elsewhere", 0),
            unheard=plain.get("unheard", 0),
        )

    @property
    def raised_by_most(self) -> str | None:
        """The exception that ended more than half of the handlings which met no trouble; None if none did."""
        what = max(sorted(self.raised), key=lambda each: self.raised[each], default=None)
        return None if what is None or 2 * self.raised[what] <= self.calm else what

    def entries(self, replications: int) -> list[dict[str, Any]]:
        """Their entries in `results.json`, each with its sentence, for so many replications in all."""
        found: list[dict[str, Any]] = []
        what = self.raised_by_most
        if what is not None:
            count = self.raised[what]
            text = (
                f"{what} ended {count:,} of {counted(self.calm, 'handling')} that met neither a refusal nor a "
                "fault nor another "
                f"message ({self.said[what]}). Nothing is judged: {_remedy(what)}, and run this again"
            )
            found.append({"kind": "raised", "what": what, "count": count, "among": self.calm, "text": text})
        for call, count in sorted(self.unsimulated.items()):
            remedy = "let the factory put a stand-in in place of that call, and run this again"
            if call.partition(" (")[0].endswith(IN_LANE_DIRECT):
                remedy = "run this again with --lane sdk, which has it"
            elif (api := _api_of(call)) is not None:
                remedy = f"it belongs to another API than this scenario's; run this again with --api {api}"
            text = (
                f"the relay called {call} in {count:,} of {counted(replications, 'world')}, and nothing is simulated there. "
                f"What happened in such a world does not count, neither for the relay nor against it: {remedy}"
            )
            found.append({"kind": "unsimulated", "what": call, "count": count, "among": replications, "text": text})
        if self.elsewhere:
            text = (
                f"the relay sent customers what chat completions had written in {self.elsewhere:,} of "
                f"{counted(replications, 'world')}. Such answers are in no conversation, so nobody can say which message "
                "they answer: such a world does not count, neither for the relay nor against it. Only answers that a "
                "conversation's runs write are judged"
            )
            what, count = "answers by chat completions", self.elsewhere
            found.append({"kind": "elsewhere", "what": what, "count": count, "among": replications, "text": text})
        if 2 * self.unheard > replications:
            text = (
                f"the relay started turns in the background and looked at none of them again in {self.unheard:,} of "
                f"{counted(replications, 'world')}, and nothing told it of their end. A relay that waits for the API's "
                f"webhooks hears of them with {EVENTS}"
            )
            what = "turns that nothing told of"
            found.append({"kind": "unheard", "what": what, "count": self.unheard, "among": replications, "text": text})
        return found


def _api_of(call: str) -> str | None:
    """The simulated API that has such a call, such as `POST /v1/responses (bot.py:3)`; None if none has."""
    _, _, path = call.partition(" (")[0].partition(" /")
    parts = path.split("/")
    return SIMULATED_AS.get(parts[1]) if len(parts) > 1 else None
