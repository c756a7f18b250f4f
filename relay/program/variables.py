"""Every environment variable of the program, with unit, range and default: what is read, and what `--help` lists."""

import textwrap
from typing import Final

from relaysim.relay.drain import DrainSettings
from relaysim.relay.program.environment import (
    Variable,
    any_text,
    digits,
    folder,
    http_url,
    name_text,
    one_of,
    path_of_url,
    port_number,
    redis_url,
    seconds,
    secret_text,
    whole,
)
from relaysim.relay.program.log_setup import LEVELS
from relaysim.relay.program.whatsapp import API_URL

FOR_WHATSAPP: Final = "for whatsapp"
FOR_EVOLUTION: Final = "for evolution"
ALWAYS: Final = "always"

_VISIBLE: Final = "visible ASCII characters"
_ADDRESS: Final = "http:// or https:// address"

VARIABLES: Final = (
    Variable(
        "RELAY_PROVIDER",
        "the provider of the chat channel",
        *one_of("whatsapp", "evolution"),
        needed=ALWAYS,
        remedy="set it to whatsapp (WhatsApp Cloud API) or evolution (Evolution API)",
    ),
    Variable(
        "REDIS_URL",
        "the Redis that keeps inboxes, leases and the ledger; embedded: one of its own, for a first try",
        "redis://, rediss:// or unix:// address, or embedded",
        redis_url,
        needed=ALWAYS,
        secret=True,
        remedy="set it to the address of your Redis, such as redis://host:6379/0",
    ),
    Variable(
        "RELAY_EMBEDDED_FOLDER", "where the embedded one keeps its data", "a folder", folder, default="relay-data"
    ),
    Variable(
        "RELAY_WHEN_REDIS_FORGETS",
        "a Redis without an append-only file: takes no message in, or says so and takes them",
        *one_of("refuse", "warn"),
        default="refuse",
    ),
    Variable(
        "OPENAI_API_KEY",
        "authorises requests to the conversation API",
        _VISIBLE,
        secret_text,
        needed=ALWAYS,
        secret=True,
        remedy="set it to a key of your project",
    ),
    Variable("OPENAI_BASE_URL", "the conversation API's address; not set: the SDK's", _ADDRESS, http_url),
    Variable(
        "RELAY_API",
        "the conversation API",
        *one_of("responses", "threads"),
        needed="unless the policy file has it",
        remedy="set it to responses (Responses with Conversations) or threads (Assistants)",
    ),
    Variable(
        "RELAY_MODEL",
        "responses: the model that answers",
        "a name",
        name_text,
        needed="for responses, unless the policy file has it",
        remedy="set it to the name of the model",
    ),
    Variable("RELAY_INSTRUCTIONS", "responses: what the model is told with each turn", "a text", any_text),
    Variable(
        "RELAY_ASSISTANT_ID",
        "threads: the assistant that answers",
        "an id",
        name_text,
        needed="for threads, unless the policy file has it",
        remedy="set it to the assistant's id, asst_...",
    ),
    Variable("RELAY_POLICY_FILE", "settings of drain, as docs/policy-file.md has them", "a TOML file", folder),
    Variable(
        "RELAY_KEY_PREFIX",
        f"begins every key in Redis; not set: the policy file's, or {DrainSettings.key_prefix}",
        _VISIBLE,
        name_text,
    ),
    Variable(
        "WHATSAPP_PHONE_NUMBER_ID",
        "the id of the bot's number",
        "digits",
        digits,
        needed=FOR_WHATSAPP,
        remedy="copy it from WhatsApp > API setup of your app",
    ),
    Variable(
        "WHATSAPP_ACCESS_TOKEN",
        "authorises texts",
        _VISIBLE,
        secret_text,
        needed=FOR_WHATSAPP,
        secret=True,
        remedy="create a permanent token of a system user",
    ),
    Variable(
        "WHATSAPP_APP_SECRET",
        "checks the signatures of webhooks",
        _VISIBLE,
        secret_text,
        needed=FOR_WHATSAPP,
        secret=True,
        remedy="copy it from the basic settings of your app",
    ),
    Variable(
        "WHATSAPP_VERIFY_TOKEN",
        "what Meta brings along when it verifies the webhook's address",
        _VISIBLE,
        secret_text,
        needed=FOR_WHATSAPP,
        secret=True,
        remedy="invent one, and enter the same at the webhook's settings of your app",
    ),
    Variable("WHATSAPP_API_URL", "where texts go, with the version", _ADDRESS, http_url, default=API_URL),
    Variable(
        "EVOLUTION_API_URL",
        "the Evolution server's address",
        _ADDRESS,
        http_url,
        needed=FOR_EVOLUTION,
        remedy="set it to the address of your server",
    ),
    Variable(
        "EVOLUTION_INSTANCE",
        "the instance's name",
        "a name",
        name_text,
        needed=FOR_EVOLUTION,
        remedy="set it to the name that the instance has on your server",
    ),
    Variable(
        "EVOLUTION_API_KEY",
        "authorises texts",
        _VISIBLE,
        secret_text,
        needed=FOR_EVOLUTION,
        secret=True,
        remedy="copy the instance's apikey",
    ),
    Variable(
        "EVOLUTION_WEBHOOK_SECRET",
        "what proves a webhook, in its body as apikey or in a header; not set: EVOLUTION_API_KEY",
        _VISIBLE,
        secret_text,
        secret=True,
    ),
    Variable("RELAY_HOST", "where to listen", "an address of this machine", name_text, default="127.0.0.1"),
    Variable("RELAY_PORT", "port; 0: a free one", "0 to 65535", port_number, default="8080"),
    Variable("RELAY_WEBHOOK_PATH", "path of the webhook", "a path", path_of_url, default="/webhook"),
    Variable(
        "RELAY_BODY_BYTES_MAX",
        "longest body of a webhook; a longer one is refused (413)",
        *whole(1_000, 10_000_000, "bytes"),
        default="2000000",
    ),
    Variable("RELAY_BODY_SECONDS", "how long a body may take to arrive; then 408", *seconds(0.1, 300.0), default="10"),
    Variable(
        "RELAY_WEBHOOKS_MAX",
        "webhooks that are taken in at once; a further one is refused (503) and comes again",
        *whole(1, 100_000),
        default="1000",
    ),
    Variable(
        "RELAY_ANSWERING_MAX",
        "conversations that this process answers at once; 0: it takes webhooks in, and others answer",
        *whole(0, 100_000),
        default="100",
    ),
    Variable(
        "RELAY_STOP_SECONDS",
        "how long a stop may take; above send_timeout_seconds of drain",
        *seconds(1.0, 600.0),
        default="25",
    ),
    Variable("RELAY_LOG_LEVEL", "from which level on events are logged", *one_of(*LEVELS), default="info"),
)
"""All of them, in the order in which they are listed."""

BY_NAME: Final = {variable.name: variable for variable in VARIABLES}


def listing(width: int = 100) -> str:
    """The list of variables, as `--help` prints it."""
    lines = []
    for variable in VARIABLES:
        lines.append(f"  {variable.name}")
        default = "" if variable.default is None else f" Default: {variable.default}."
        needed = f" Needed {variable.needed}." if variable.needed else ""
        what = f"{variable.means}. Range: {variable.range}.{default}{needed}"
        lines += textwrap.wrap(what, width, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
    return "\n".join(lines)
