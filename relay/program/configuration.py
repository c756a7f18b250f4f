"""The configuration as a whole, from the environment and a policy file; all that is wrong with it is said at once."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relaysim.relay.drain import DrainSettings
from relaysim.relay.policy_file import PolicyFileError, load_policy
from relaysim.relay.program.environment import Variable
from relaysim.relay.program.evolution import Evolution
from relaysim.relay.program.provider import Provider
from relaysim.relay.program.variables import ALWAYS, BY_NAME, FOR_EVOLUTION, FOR_WHATSAPP, VARIABLES
from relaysim.relay.program.whatsapp import WhatsApp

_OWN_PREFIX: Final = "RELAY_"
_OF_KUBERNETES: Final = re.compile(r"RELAY_(SERVICE_.+|PORT_[0-9]+_.+)")
"""What Kubernetes sets in every container beside a service that is called `relay`; its RELAY_PORT is refused in words."""
_FILE: Final = "_FILE"
_FILE_BYTES_MAX: Final = 65_536

_SETTINGS: Final = {
    "RELAY_API": "api",
    "RELAY_MODEL": "model",
    "RELAY_INSTRUCTIONS": "instructions",
    "RELAY_ASSISTANT_ID": "assistant_id",
    "RELAY_KEY_PREFIX": "key_prefix",
}
"""Variables that are settings of `drain`. They go before those of the policy file."""

_OF_API: Final = {"responses": ("RELAY_MODEL", "model"), "threads": ("RELAY_ASSISTANT_ID", "assistant_id")}


class ConfigurationError(Exception):
    """The program cannot be started like this. `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What the program runs with.

    values          of the variables by their names, as `relaysim.relay.program.variables` reads them; those that are not set
                    and have no default are left out
    drain_settings  settings of `drain`, checked
    """

    values: Mapping[str, Any]
    drain_settings: Mapping[str, Any]

    @property
    def settings(self) -> DrainSettings:
        """The settings of `drain`, with its defaults."""
        return DrainSettings(**self.drain_settings)

    @property
    def secrets(self) -> list[str]:
        """Values that must never be shown."""
        return [str(self.values[each.name]) for each in VARIABLES if each.secret and each.name in self.values]

    def provider(self) -> Provider:
        """The provider of the chat channel."""
        values = self.values
        if values["RELAY_PROVIDER"] == "whatsapp":
            return WhatsApp(
                phone_number_id=values["WHATSAPP_PHONE_NUMBER_ID"],
                access_token=values["WHATSAPP_ACCESS_TOKEN"],
                app_secret=values["WHATSAPP_APP_SECRET"],
                verify_token=values["WHATSAPP_VERIFY_TOKEN"],
                api_url=values["WHATSAPP_API_URL"],
            )
        return Evolution(
            instance=values["EVOLUTION_INSTANCE"],
            api_url=values["EVOLUTION_API_URL"],
            api_key=values["EVOLUTION_API_KEY"],
            webhook_secret=values.get("EVOLUTION_WEBHOOK_SECRET", values["EVOLUTION_API_KEY"]),
        )


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """The configuration that an environment describes.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    problems = [_unknown(name) for name in environment if name.startswith(_OWN_PREFIX) and not _is_known(name)]
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for variable in VARIABLES:
        try:
            text = _text(variable, environment)
            if text is not None:
                values[variable.name] = variable.read(text)
        except ValueError as error:
            problems.append(f"{_shown(variable, environment.get(variable.name, ''))}: {error}")
            wrong.add(variable.name)
    settings, file_problems = _settings(values)
    missing = [
        each for each in VARIABLES if each.name not in values and each.name not in wrong and _needs(each, values)
    ]
    problems += [f"{each.name}: is not set; {each.remedy}" for each in missing]
    problems += file_problems
    if not file_problems:
        problems += _missing_settings(settings, wrong) + _contradictions(values, settings)
    if problems:
        raise ConfigurationError(problems)
    return Configuration(values=values, drain_settings=settings)


def _shown(variable: Variable, text: str) -> str:
    """A variable and its text; without the text if it is secret, or may have a password in it."""
    return variable.name if variable.secret or "@" in text else f"{variable.name} = {text!r}"


def _text(variable: Variable, environment: Mapping[str, str]) -> str | None:
    """A variable's text, from the environment or the file that it names. A variable that is empty counts as not set."""
    text = environment.get(variable.name) or None
    path = environment.get(variable.name + _FILE) if variable.secret else None
    if not path:
        return text if text is not None else variable.default
    if text is not None:
        raise ValueError(f"is set, and so is {variable.name}{_FILE}; remove one of them")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FILE_BYTES_MAX)
        return content.decode("ascii").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the file {path!r} of {variable.name}{_FILE} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path!r} of {variable.name}{_FILE} has more than ASCII characters in it") from None


def _needs(variable: Variable, values: Mapping[str, Any]) -> bool:
    provider = values.get("RELAY_PROVIDER")
    return variable.needed == ALWAYS or (
        variable.needed == {"whatsapp": FOR_WHATSAPP, "evolution": FOR_EVOLUTION}.get(str(provider), "?")
    )


def _settings(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings of `drain`, of the file and above it of the environment; and what is wrong with the file."""
    settings: dict[str, Any] = {}
    path = values.get("RELAY_POLICY_FILE")
    if path is not None:
        try:
            file = load_policy(path)
        except PolicyFileError as error:
            return {}, [f"RELAY_POLICY_FILE: {problem}" for problem in error.problems]
        if file.policy != "drain":
            return {}, [f"RELAY_POLICY_FILE: {path}: policy = {file.policy!r}: this program runs drain, and no other"]
        settings.update(file.settings)
    settings.update({setting: values[name] for name, setting in _SETTINGS.items() if name in values})
    return settings, []


def _missing_settings(settings: Mapping[str, Any], wrong: set[str]) -> list[str]:
    if "api" not in settings:
        return [] if "RELAY_API" in wrong else [f"RELAY_API: is not set; {BY_NAME['RELAY_API'].remedy}"]
    name, setting = _OF_API[settings["api"]]
    if setting in settings or name in wrong:
        return []
    return [f"{name}: is not set, and api is {settings['api']!r}; {BY_NAME[name].remedy}"]


def _contradictions(values: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What cannot hold together, although each value is in its range."""
    problems = []
    try:
        whole = DrainSettings(**settings)
    except ValueError as error:
        return [f"settings of drain: {error}"]
    if whole.when_redis_is_away != "fail_closed":
        problems.append(
            f"RELAY_POLICY_FILE: settings.when_redis_is_away = {whole.when_redis_is_away!r}: must be 'fail_closed' here: "
            "this program acknowledges only what Redis has taken"
        )
    stop_seconds = values.get("RELAY_STOP_SECONDS")
    if stop_seconds is not None and stop_seconds <= whole.send_timeout_seconds:
        problems.append(
            f"RELAY_STOP_SECONDS = {stop_seconds:g}: must be above send_timeout_seconds = {whole.send_timeout_seconds:g} "
            "of drain, or the fate of a text that is on its way at a stop is not recorded"
        )
    return problems


def _is_known(name: str) -> bool:
    stem = name.removesuffix(_FILE)
    names_a_file = name.endswith(_FILE) and stem in BY_NAME and BY_NAME[stem].secret
    return name in BY_NAME or names_a_file or _OF_KUBERNETES.fullmatch(name) is not None


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, BY_NAME, n=1)
    hint = f"did you mean {close[0]}?" if close else "relaysim-relay --help lists all of them"
    return f"{name}: there is no such variable, {hint}"
