"""What a world is made of: workers, customers, latencies, faults. Scenario files carry these tables.

Everything here is plain, validated data; `relaysim.sim.world.world` builds the world from it. Durations are distributions of
seconds (see `relaysim.sim.kernel.distributions`); where one is expected a plain number means that constant.

More than 400 lines, because it is one table of a world's parts.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from relaysim.sim.backends import DEFAULT, backend_named
from relaysim.sim.backends.other_endpoints.routes import OTHER_OPERATIONS
from relaysim.sim.backends.other_endpoints.settings import ECHOING, OtherEndpointsSettings
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.replies import EchoReplies, WrittenReplies
from relaysim.sim.backends.webhook_events import SECRET_VARIABLE, EventSettings
from relaysim.sim.doors.faults import ApiFault, check_routes
from relaysim.sim.faults import Swarm
from relaysim.sim.kernel.distributions import Constant, Seconds
from relaysim.sim.process.libraries import check_folder
from relaysim.sim.providers import PROVIDERS, AnyProvider
from relaysim.sim.redis.redis_faults import RedisFault
from relaysim.sim.world.counters import Counter, check_counters
from relaysim.sim.world.exploration import Strategy, Tape
from relaysim.sim.world.host_faults import HostFault, check_events
from relaysim.sim.world.names import Names
from relaysim.sim.world.quiescence import Liveness
from relaysim.sim.world.send_faults import SendFault
from relaysim.sim.world.strata import Strata
from relaysim.sim.world.variations import Explored
from relaysim.sim.world.webhook_faults import WebhookFault

FRIENDLY_TEXT = "Desculpe, estou processando sua mensagem anterior. Por favor, aguarde um momento e tente novamente."
"""What the incident's relay sends when its retries are used up."""

GENERIC_TEXT = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
"""What the incident's relay sends for every other failure."""


def _as_text(value: Any) -> Any:
    """A number is the text that a shell would have of it."""
    return str(value) if type(value) in (int, float) else value


_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


_VARIABLES: Final = {
    "OPENAI_API_KEY": "sk-relaysim",
    "OPENAI_ASSISTANT_ID": "asst_relaysim",
    "ASSISTANT_ID": "asst_relaysim",
    "REDIS_URL": "redis://redis:6379/0",
    "REDIS_HOST": "redis",
    "REDIS_PORT": "6379",
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RelayUnderTest(_Table):
    """Which relay runs, and which texts of it are apologies.

    If the object that the factory returns has `async serve()`, each worker runs that beside `handle` for as long as it
    lives. If it has `async outcome_of(conversation, message_id)`, that is asked for every message at the world's end.
    """

    factory: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="`package.module:function`, called with the OpenAI client, the Redis client and a send coroutine, or "
        "with nothing; returns an object with `async handle(message)` or a web application. Or `package.module:app`, the "
        "application itself. Also called `app`",
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="keyword arguments for the factory")
    libraries: str | None = Field(
        default=None,
        min_length=1,
        description="folder of the relay's own versions of libraries, from where `relaysim` runs: its `site-packages`, or "
        "what `pip install --target` has filled; absent: those beside `relaysim`",
    )
    friendly_text: str = Field(
        default=FRIENDLY_TEXT, min_length=1, description="the polite text after which customers try again"
    )
    generic_text: str = Field(default=GENERIC_TEXT, min_length=1, description="the text of every other failure")

    notices: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="texts of the relay that are neither answers nor apologies, besides those that it declares itself",
    )

    @field_validator("libraries")
    @classmethod
    def _are_there(cls, folder: str | None, info: ValidationInfo) -> str | None:
        return check_folder(folder, str(info.data.get("factory", "")).partition(":")[0])

    @field_validator("factory", mode="before")
    @classmethod
    def _is_no_address(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            raise ValueError(
                "a program behind an address cannot be driven yet; name a factory: package.module:function"
            )
        return value


class WorkerGroup(_Table):
    """Some workers of one kind; each is a host of its own with its own clients."""

    count: int = Field(default=1, ge=1, le=1000, description="how many workers")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="settings that these workers have on top of the relay's, e.g. another lock key",
    )
    share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of webhooks that reach this group; absent: in proportion to the workers",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="deliveries that plain code of a worker handles at once, each in a thread; others wait. Absent: 1 for a "
        "WSGI application, any number for a `handle`",
    )


class ScriptedMessage(_Table):
    """One message at a given time."""

    conversation: int = Field(default=1, ge=1, description="which customer sends it, counting from 1")
    at_seconds: Seconds = Field(description="when it is sent, from the world's start")
    worker: int | None = Field(
        default=None,
        ge=1,
        description="which worker gets the webhook, counting from 1; absent: drawn, as it is where --set leaves fewer "
        "workers than that",
    )


class Bursts(_Table):
    """Customers who write in bursts of short messages."""

    messages_mean: float = Field(
        default=2.2, ge=1, le=100, description="messages of a burst: 1 + geometric with this mean"
    )
    gap_seconds: Seconds = Field(description="between the messages of a burst")
    pause_seconds: Seconds = Field(description="from a burst's last message to the next burst's first")
    first_seconds: Seconds = Field(description="until a customer's first burst")
    duration_seconds: float = Field(gt=0, le=86_400, description="no burst begins after this time")


class InitialRun(_Table):
    """A run that some worker, gone since, left on a conversation's thread before the first message."""

    conversation: int = Field(default=1, ge=1, description="on which customer's thread, counting from 1")
    age_seconds: float = Field(ge=0, lt=600, description="how old it is at the world's first message")


class Workload(_Table):
    """Who writes what, when, and how webhooks arrive."""

    conversations: int = Field(default=1, ge=1, le=100_000, description="number of customers")
    texts: Literal["numbered", "varied", "odd"] = Field(
        default="numbered",
        description="what they write: `Question [c1.m2]`; or texts as people write them, which name no message (what "
        "--factory gives every relay that it puts in); or texts that careless code trips over, with halves of surrogate "
        "pairs, signs of several kinds of markup and white space of all sorts",
    )
    repeats_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how likely a customer writes the same once more as the message before, where texts are not numbered",
    )
    names: Names = Field(
        default="plain",
        description="what conversations and messages are called: `c1` and `c1.m2`; or with colons, braces and letters that "
        "are not ASCII, some of them the beginnings of others. A provider has its own",
    )
    foreign_runs_per_minute: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="how often somebody else, whom the relay does not know, starts a run on a conversation's thread",
    )
    interrupts_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how likely a customer writes just when a worker does something of their conversation, so that the "
        "webhook comes in between; at few kinds of such moments, others in each world",
    )
    messages: tuple[ScriptedMessage, ...] = Field(default=(), description="messages at given times")
    bursts: Bursts | None = Field(default=None, description="messages drawn in bursts, for every customer")
    initial_runs: tuple[InitialRun, ...] = Field(default=(), description="runs left behind before the start")
    try_again_seconds: float | None = Field(
        default=30.0,
        gt=0,
        description="how long after the friendly text a customer sends the message again; absent: never",
    )
    tries_again_max: int = Field(default=1, ge=0, le=100, description="how often a customer tries one message again")
    duplicate_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of webhooks that are delivered twice"
    )
    redelivery_seconds: Seconds = Field(
        default_factory=lambda: _constant(20.0), description="from the first delivery to the second"
    )
    answers_probability: float = Field(
        default=0.0, ge=0, lt=1, description="how likely a customer who gets a text writes again at once"
    )
    tells_time: bool = Field(
        default=True,
        description="whether `handle` is told when a message was written; else the order in which webhooks came is all that "
        "the relay knows. A provider's webhooks say what theirs say",
    )
    redeliver_seconds: Seconds | None = Field(
        default=None,
        description="after how long a delivery is repeated whose handling raised, or whose worker was dead or died, until "
        "one is acknowledged; absent: it is not repeated",
    )

    @property
    def messages_max(self) -> int | None:
        """The most messages that a world can have, new tries included; None if they come in bursts, of which there is no
        most."""
        if self.bursts is not None:
            return None
        tries = 1 if self.try_again_seconds is None else 1 + self.tries_again_max
        return len(self.messages) * tries

    @field_validator("try_again_seconds", mode="before")
    @classmethod
    def _false_is_never(cls, value: Any) -> Any:
        # TOML has no null; `false` says "never".
        return None if value is False else value

    @model_validator(mode="after")
    def _somebody_writes(self) -> Workload:
        if not self.messages and self.bursts is None:
            raise ValueError("nobody writes: give `messages` or `bursts`")
        named = [(f"messages[{index}]", item.conversation) for index, item in enumerate(self.messages)]
        named += [(f"initial_runs[{index}]", item.conversation) for index, item in enumerate(self.initial_runs)]
        for what, conversation in named:
            if conversation > self.conversations:
                raise ValueError(f"{what} names conversation {conversation}, but there are {self.conversations}")
        return self


def _constant(seconds: float) -> Constant:
    return Constant(kind="constant", value=seconds)


class Limits(_Table):
    """What an answer may take. The claims about it are judged of any relay of one's own
    (docs/own-relay.md)."""

    answer_seconds: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="from a message's first delivery to an answer or an apology, where the relay promises no "
        "`deadline_seconds`",
    )
    requests_per_message: float = Field(
        default=50.0,
        gt=0,
        le=1_000_000,
        description="requests for each delivery of a message, apart from looks at a conversation that is busy",
    )
    runs_per_message: float = Field(
        default=5.0,
        gt=0,
        le=1_000_000,
        description="runs for each delivery of a message, apart from those that the API failed",
    )
    notices_per_message: float = Field(
        default=5.0,
        ge=0,
        le=1_000_000,
        description="texts that no run wrote and that are no apologies, for each delivery of a message; one more for each "
        "minute that it waits for its answer",
    )
    notice_seconds: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="how long after the latest answer or apology of a conversation the relay may still send a text that no "
        "run wrote and that it does not declare",
    )


class RedisServer(_Table):
    """What kind of Redis server there is."""

    cluster: bool = Field(
        default=False,
        description="it is the one node of a cluster: commands and scripts whose keys lie in different slots are refused",
    )


class Step(_Table):
    """A request of the handling of one scripted message."""

    message: int = Field(ge=1, description="which message of the workload's list, counting from 1")
    operation: str = Field(description="which request of its handling, e.g. `runs.create`; the first one counts")


class Hold(_Table):
    """A constraint on the schedule: one request is processed only after another one.

    The held request simply takes longer on its way, as requests do; no outcome is set.
    """

    hold: Step = Field(description="the request that waits")
    until: Step = Field(description="the request it waits for")
    at_most_seconds: float = Field(default=5.0, gt=0, le=600, description="the longest such wait")


class WorldTables(_Table):
    """What a world is made of, except the numbers of its API."""

    api: str = Field(default=DEFAULT, min_length=1, description="which API is simulated: a backend's name")
    relay: RelayUnderTest = Field(description="the relay under test")
    workers: tuple[WorkerGroup, ...] = Field(default=(WorkerGroup(count=2),), min_length=1, description="who runs it")
    workload: Workload = Field(description="who writes what")
    provider: AnyProvider | None = Field(
        default=None,
        description="who delivers the webhooks and takes the texts; absent: a webhook is a call of `handle`, which "
        "acknowledges it by returning",
    )
    environment: dict[Annotated[str, Field(pattern=_VARIABLE)], Annotated[str, BeforeValidator(_as_text)]] = Field(
        default_factory=dict,
        description="variables of each worker's environment, on top of those that the provider and the APIs give",
    )
    replies: WrittenReplies = Field(
        default=EchoReplies(),
        description="what assistants answer: an echo, or each conversation's turns in order (texts, tool calls, failures)",
    )
    other_endpoints: OtherEndpointsSettings = Field(
        default=ECHOING, description="what chat completions and transcriptions say, which a bot calls beside the API"
    )
    events: EventSettings | None = Field(
        default=None,
        description="the API tells of the end of turns by itself (only `responses`, of turns in the background): how such "
        "events are signed and delivered; absent: it does not",
    )
    faults: tuple[ApiFault, ...] = Field(default=(), description="faults of the API and of the way to it")
    host_faults: tuple[HostFault, ...] = Field(
        default=(), description="workers that crash, pause, run slow, or err in time"
    )
    redis_faults: tuple[RedisFault, ...] = Field(default=(), description="faults of Redis and of the way to it")
    webhook_faults: tuple[WebhookFault, ...] = Field(default=(), description="faults of the webhooks")
    send_faults: tuple[SendFault, ...] = Field(default=(), description="faults of sending texts to customers")
    swarm: Swarm | None = Field(
        default=None, description="each replication meets some of the faults; absent: all of them"
    )
    liveness: Liveness | None = Field(default=None, description="when faults stop; absent: they do not")
    strata: Strata | None = Field(
        default=None, description="one draw comes from chosen parts of its range; absent: all are drawn as they come"
    )
    strategy: Strategy = Field(
        default="independent",
        description="how worlds are drawn; any but `independent` looks for broken promises, and its worlds show "
        "no rates of production",
    )
    explored: Explored = Field(
        default=Explored(), description="what worlds have besides if a strategy draws them; absent: nothing"
    )
    limits: Limits = Field(default=Limits(), description="the time and the cost of an answer")
    counters: tuple[Counter, ...] = Field(
        default=(), max_length=100, description="what is counted besides, for claims and results; it changes no world"
    )
    redis: RedisServer = Field(default=RedisServer(), description="what kind of Redis server there is")
    tape: Tape | None = Field(
        default=None, description="the choices of one world, which all replications then are; absent: all are drawn"
    )
    schedule: tuple[Hold, ...] = Field(default=(), description="constraints on the order of requests")
    limit_seconds: float = Field(
        default=7200.0, gt=0, le=864_000, description="virtual time at which a world is cut off"
    )

    @field_validator("environment")
    @classmethod
    def _can_be_set(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if "\0" in value:
                raise ValueError(f"{name} holds a null character, which no variable can")
        return environment

    @property
    def names(self) -> Names:
        """How conversations and messages are named."""
        return self.workload.names if self.provider is None else "plain"

    @property
    def variables(self) -> dict[str, str]:
        """What is set in each worker's environment, for code that makes its clients itself."""
        of_provider = {} if self.provider is None else self.provider.environment
        of_events = {} if self.events is None else {SECRET_VARIABLE: self.events.secret}
        return {**_VARIABLES, **of_provider, **of_events, **self.environment}

    @field_validator("events")
    @classmethod
    def _has_events(cls, events: EventSettings | None, info: ValidationInfo) -> EventSettings | None:
        if events is not None and "api" in info.data and not backend_named(info.data["api"]).has_events:
            title = backend_named(info.data["api"]).title
            raise ValueError(
                f'the simulated {title} tells of nothing by itself: leave it out, or say api = "responses"'
            )
        return events

    @field_validator("explored")
    @classmethod
    def _can_happen_when_explored(cls, explored: Explored, info: ValidationInfo) -> Explored:
        if "api" in info.data:
            backend = backend_named(info.data["api"])
            check_routes(explored.faults, backend)
            check_events(explored.host_faults, backend)
        return explored

    @model_validator(mode="after")
    def _varies_within_its_tables(self) -> Self:
        self.explored.check({"workload": self.workload, "redis": self.redis})
        return self

    @model_validator(mode="after")
    def _strata_are_of_production(self) -> Self:
        if self.strategy != "independent" and self.strata is not None and self.strata.enabled:
            raise ValueError(
                f"strategy {self.strategy!r} draws worlds of its own, which no strata describe; set strata.enabled=false"
            )
        if self.tape is not None:
            drawn = {"strategy": self.strategy != "independent", "swarm": self.swarm, "strata": self.strata}
            for name, given in drawn.items():
                if given:
                    raise ValueError(f"with a tape everything is decided already: leave `{name}` out")
        return self

    @field_validator("api")
    @classmethod
    def _is_there(cls, api: str) -> str:
        return backend_named(api).name

    @field_validator("faults")
    @classmethod
    def _can_strike(cls, faults: tuple[ApiFault, ...], info: ValidationInfo) -> tuple[ApiFault, ...]:
        return check_routes(faults, backend_named(info.data["api"])) if "api" in info.data else faults

    @field_validator("host_faults")
    @classmethod
    def _can_happen(cls, faults: tuple[HostFault, ...], info: ValidationInfo) -> tuple[HostFault, ...]:
        return check_events(faults, backend_named(info.data["api"])) if "api" in info.data else faults

    @field_validator("counters")
    @classmethod
    def _can_count(cls, counters: tuple[Counter, ...], info: ValidationInfo) -> tuple[Counter, ...]:
        if "api" in info.data:
            backend = backend_named(info.data["api"])
            operations = [*(each.name for each in backend.operations), *(each.name for each in OTHER_OPERATIONS)]
            check_counters(counters, operations, backend.name)
        return counters


PROVIDER_KINDS: Final = tuple(str(each.model_fields["kind"].default) for each in PROVIDERS)
"""What `kind` of a provider's table may say."""

FAULT_LISTS: Final = ("faults", "host_faults", "redis_faults", "webhook_faults", "send_faults")
"""The lists of faults that a world may have."""


class WorldSettings(WorldTables):
    """One world without its seed."""

    profile: Profile = Field(description="latencies and fault rates of the backend")

    @model_validator(mode="after")
    def _varies_within_its_profile(self) -> WorldSettings:
        self.explored.check({"profile": self.profile})
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> WorldSettings:
        workers = sum(group.count for group in self.workers)
        for index, message in enumerate(self.workload.messages):
            if message.worker is not None and message.worker > workers:
                raise ValueError(f"workload.messages[{index}] names worker {message.worker}, but there are {workers}")
        for index, fault in enumerate(self.host_faults):
            for number in fault.workers or ():
                if number > workers:
                    raise ValueError(f"host_faults[{index}] names worker {number}, but there are {workers}")
        for index, hold in enumerate(self.schedule):
            for name, step in (("hold", hold.hold), ("until", hold.until)):
                if step.message > len(self.workload.messages):
                    raise ValueError(
                        f"schedule[{index}].{name} names message {step.message}, but the workload lists "
                        f"{len(self.workload.messages)}"
                    )
        shares = [group.share for group in self.workers if group.share is not None]
        if shares and (len(shares) != len(self.workers) or abs(sum(shares) - 1) > 1e-9):
            raise ValueError("give `share` for every group of workers or for none, with a sum of 1")
        if self.strata is not None and self.strata.enabled:
            self.strata.edges_under(self.profile)
            for number in self.strata.conversations_named():
                if number > self.workload.conversations:
                    raise ValueError(
                        f"strata.entity names conversation {number}, but there are {self.workload.conversations}"
                    )
        if self.liveness is not None and self.liveness.faults_stop_seconds >= self.limit_seconds:
            raise ValueError(
                f"liveness.faults_stop_seconds is {self.liveness.faults_stop_seconds:g}, but the world is cut off at "
                f"limit_seconds = {self.limit_seconds:g}: nothing would be left to see"
            )
        return self
