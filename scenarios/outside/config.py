"""How a program is started and reached: `relaysim.toml`, and the options that change it."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from relaysim.sim.providers import PROVIDERS
from relaysim.sim.toml_file import read_toml
from relaysim.sim.validation_words import did_you_mean, format_path, translate
from relaysim.sim.world.settings import WorldSettings

FILE: Final = "relaysim.toml"

Line = Annotated[str, Field(min_length=1)]

API_PORT: Final = 8018
"""The simulated API's port for a program that runs already, which must know it before; next to that of `serve`."""

WEBHOOK: Final = "http://127.0.0.1:{port}/webhook"

STANDARD_ENVIRONMENT: Final = {
    "PORT": "{port}",
    "OPENAI_BASE_URL": "{api}",
    "OPENAI_API_KEY": "sk-relaysim",
    "OPENAI_ASSISTANT_ID": "asst_relaysim",
    "ASSISTANT_ID": "asst_relaysim",
    "REDIS_URL": "{redis}",
    "REDIS_HOST": "{redis_host}",
    "REDIS_PORT": "{redis_port}",
    "RELAYSIM_PROVIDER_URL": "{provider}",
}
"""What every program gets, besides what its provider's bots read. `{api}` and its like stand for addresses."""


def environment_of(settings: WorldSettings) -> dict[str, str]:
    """What a scenario gives the program: what bots of its provider read, with the provider's addresses here, and its own."""
    given = {} if settings.provider is None else dict(settings.provider.environment)
    hosts = () if settings.provider is None else settings.provider.sending_hosts
    for name, value in given.items():
        if urlsplit(value).hostname in hosts:
            given[name] = "{provider}"
    return {**given, **settings.environment}


TEMPLATE: Final = """\
# How relaysim starts and reaches your program: `relaysim judge` reads this file.
[judge]
command = ["node", "server.js"]
# How many copies run at once, each on a port of its own, which it reads from PORT.
copies = 2
# Where a copy takes the provider's webhooks.
webhook = "http://127.0.0.1:{port}/webhook"
# What a copy answers with 200 once it can take them; without this line it can as soon as it listens.
# ready = "/health"
provider = "whatsapp"
scenarios = ["rapid_pair"]

# Variables besides PORT, OPENAI_BASE_URL, OPENAI_API_KEY, REDIS_URL and what bots of the provider read.
# {provider} is where the program sends texts, in place of https://graph.facebook.com and its like.
[judge.environment]
GRAPH_API_URL = "{provider}"
"""


class ConfigError(Exception):
    """The file cannot be used; the message names it, the place in it and the remedy."""


class JudgeConfig(BaseModel):
    """The table `[judge]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[Line, ...] = Field(default=(), description="the program and its arguments, as a list or one line")
    copies: int = Field(default=1, ge=1, le=64, description="how many copies run at once")
    webhook: str = Field(
        default=WEBHOOK,
        pattern=r"^http://[^/\s]+(/\S*)?$",
        description="where a copy takes webhooks; `{port}` is its port",
    )
    ready: str | None = Field(
        default=None,
        pattern=r"^/\S*$",
        description="a path that a copy answers with 200 once it can take webhooks; absent: it can as soon as it listens",
    )
    provider: str | None = Field(default=None, description="whose webhooks it takes; absent: the scenario's")
    scenarios: tuple[Line, ...] = Field(default=("rapid_pair",), description="what is played, unless told otherwise")
    environment: dict[str, str] = Field(default_factory=dict, description="variables besides the usual ones")
    redis: str | None = Field(
        default=None,
        pattern=r"^rediss?://\S+$",
        description="your own Redis, in place of one for each world; nothing in it is removed",
    )
    port: int = Field(
        default=API_PORT,
        ge=1,
        le=65_535,
        description="where the simulated API and the provider are for a program that runs already",
    )
    verification: bool = Field(
        default=False, description="the provider makes sure of the webhook's address before the first message"
    )
    speed: float = Field(
        default=1.0, gt=0, le=1000, description="how many times as fast as real time all but the program is"
    )
    lockstep: bool = Field(
        default=False,
        description="the program's timers and clocks are the simulator's: a world takes seconds (Node and asyncio)",
    )
    parallel: int = Field(default=8, ge=1, le=64, description="worlds at once, each with copies and a Redis of its own")

    @field_validator("command", mode="before")
    @classmethod
    def _is_a_line(cls, value: Any) -> Any:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("provider")
    @classmethod
    def _is_there(cls, name: str | None) -> str | None:
        known = [each.model_fields["kind"].default for each in PROVIDERS]
        if name is not None and name not in known:
            raise ValueError(f"there is no provider {name!r}; {did_you_mean(name, known, what='there are')}")
        return name

    @property
    def runs_already(self) -> bool:
        """Whether nothing is started: the program is where its webhook is."""
        return not self.command

    @property
    def is_shared(self) -> bool:
        """Whether worlds share the program or its Redis: then they are played one after the other."""
        return self.runs_already or self.redis is not None

    @property
    def worlds_at_once(self) -> int:
        """How many worlds are played at once."""
        return 1 if self.is_shared or self.lockstep else self.parallel

    @property
    def path(self) -> str:
        """The webhook's path."""
        parts = urlsplit(self.webhook)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def shown(self) -> str:
        """The program, as a title says it: of files that are named from the root on, the name alone."""
        if self.runs_already:
            return f"the program at {urlsplit(self.webhook).netloc}"
        files = (Path(each).name if Path(each).is_absolute() else each for each in self.command[1:])
        return " ".join((Path(self.command[0]).name, *files))

    def changed(self, **given: Any) -> Self:
        """With other values, where they are not None.

        Raises:
            ConfigError: one of them is wrong, as an option of the command line.
        """
        values = {name: value for name, value in given.items() if value is not None}
        try:
            return type(self).model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            found = translate(error.errors(), JudgeConfig, values)
            lines = [f"--{format_path(each.steps)}: {each.message}; {each.suggestion}".rstrip("; ") for each in found]
            raise ConfigError("\n".join(lines)) from error


class ConfigFile(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judge: JudgeConfig = Field(default_factory=JudgeConfig)


def read_config(place: Path | None) -> JudgeConfig:
    """What a file says; without one, what is so by default.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong; a line for each.
    """
    if place is None:
        return JudgeConfig()
    try:
        document = read_toml(place)
        return ConfigFile.model_validate(document).judge
    except OSError as error:
        raise ConfigError(f"{place}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{place}: {error}") from error
    except ValidationError as error:
        found = translate(error.errors(), ConfigFile, document)
        raise ConfigError(
            "\n".join(
                f"{place}: {format_path(each.steps)}: {each.message}"
                + (f"; {each.suggestion}" if each.suggestion else "")
                for each in found
            )
        ) from error


def default_place() -> Path:
    """The file in the current folder."""
    return Path(FILE)
