"""Which requests are for the endpoints beside a conversation API, and the calls that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from relaysim.sim.backends.calls import UNKNOWN, Call
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_body import parse_json_object
from relaysim.sim.backends.other_endpoints.multipart import parse_form

NOT_SIMULATED: Final = "not_simulated"
"""The `code` of an answer that says that relaysim does not simulate the endpoint."""

_FORM: Final = "multipart/form-data"


class OtherOperation(NamedTuple):
    """One row: what can be asked, and where.

    `generates`: a model would work on it for as long as on a turn. `form`: its body is a form with a file.
    """

    name: str
    method: str
    path: str
    generates: bool = False
    form: bool = False


_STORE: Final = "/vector_stores/{store}"

OTHER_OPERATIONS: Final[tuple[OtherOperation, ...]] = (
    OtherOperation("chat.completions.create", "POST", "/chat/completions", generates=True),
    OtherOperation("embeddings.create", "POST", "/embeddings"),
    OtherOperation("moderations.create", "POST", "/moderations"),
    OtherOperation("models.list", "GET", "/models"),
    OtherOperation("models.retrieve", "GET", "/models/{model}"),
    OtherOperation("audio.speech.create", "POST", "/audio/speech", generates=True),
    OtherOperation("audio.transcriptions.create", "POST", "/audio/transcriptions", generates=True, form=True),
    OtherOperation("audio.translations.create", "POST", "/audio/translations", generates=True, form=True),
    OtherOperation("files.create", "POST", "/files", form=True),
    OtherOperation("files.list", "GET", "/files"),
    OtherOperation("files.retrieve", "GET", "/files/{file}"),
    OtherOperation("files.delete", "DELETE", "/files/{file}"),
    OtherOperation("files.content", "GET", "/files/{file}/content"),
    OtherOperation("vector_stores.create", "POST", "/vector_stores"),
    OtherOperation("vector_stores.list", "GET", "/vector_stores"),
    OtherOperation("vector_stores.retrieve", "GET", _STORE),
    OtherOperation("vector_stores.update", "POST", _STORE),
    OtherOperation("vector_stores.delete", "DELETE", _STORE),
    OtherOperation("vector_stores.files.create", "POST", f"{_STORE}/files"),
    OtherOperation("vector_stores.files.list", "GET", f"{_STORE}/files"),
    OtherOperation("vector_stores.files.retrieve", "GET", f"{_STORE}/files/{{file}}"),
    OtherOperation("vector_stores.files.delete", "DELETE", f"{_STORE}/files/{{file}}"),
)

_FAMILIES: Final = frozenset(
    (
        *("agents", "assistants", "audio", "batches", "chat", "chatkit", "completions", "containers"),
        *("content_provenance_checks", "conversations", "decisions", "embeddings", "evals", "files", "fine_tuning"),
        *("images", "live", "models", "moderations", "organization", "projects", "prompts", "realtime", "responses"),
        *("safety", "skills", "threads", "uploads", "vaults", "vector_stores", "videos", "webhook_endpoints"),
        "webhook_event_types",
    )
)
"""What the paths of OpenAI's APIs begin with (read in SDK 3.54.0 and its reference)."""

SIMULATED_AS: Final[Mapping[str, str]] = {
    "assistants": "threads",
    "conversations": "responses",
    "responses": "responses",
    "threads": "threads",
}
"""Which simulated API has the paths that begin so."""

_WITHIN: Final = frozenset({("POST", "/responses/compact")})
"""Endpoints that no API simulates though their paths look like those of an object that one does, with its methods."""

_GENERATING: Final = frozenset(operation.name for operation in OTHER_OPERATIONS if operation.generates)
_ABSENT: Final = frozenset({"aac", "flac"})
_UNSPOKEN: Final = frozenset({"diarized_json"})


class OtherCall(Call):
    """A call of an endpoint beside the conversation API.

    Attributes:
        ids: of the path, by the names in its row.
        work_seconds: how long the endpoint works on it, set by the door; 0: not at all.
    """

    __slots__ = ("ids", "work_seconds")

    def __init__(self, operation: str, ids: Mapping[str, str], params: dict[str, Any]) -> None:
        super().__init__(operation, params=params)
        self.ids = ids
        self.work_seconds = 0.0

    @property
    def generates(self) -> bool:
        """Whether a model would work on it for as long as on a turn."""
        return self.operation in _GENERATING

    @property
    def streams(self) -> bool:
        """Whether its answer comes in pieces."""
        return bool(self.params.get("stream")) and self.operation == "chat.completions.create"


def not_simulated(
    method: str, path: str, what: str = "this endpoint", reason: str = ". The real API has it"
) -> ApiError:
    """The answer of an endpoint that the real platform has and that is not simulated; `reason` goes on after its name."""
    return ApiError(
        400,
        f"relaysim does not simulate {what} ({method} {path}){reason}; what happens here because of this answer says "
        "nothing about your code, and does not count.",
        type="not_simulated",
        code=NOT_SIMULATED,
    )


def of_another_api(method: str, path: str, below: str, spoken: str) -> ApiError:
    """The answer of an endpoint that another simulated API may have.

    Args:
        method: the request's.
        path: the request's.
        below: the path below the base, which begins with a slash.
        spoken: what people call the API that is simulated here.
    """
    api = SIMULATED_AS.get(below[1:].partition("/")[0])
    if api is None:
        return not_simulated(method, path)
    reason = (
        f' beside the {spoken}, which it speaks here: start it with --api {api} instead (in a scenario: api = "{api}")'
    )
    return not_simulated(method, path, reason=reason)


def find(method: str, path: str) -> tuple[OtherOperation, dict[str, str]] | None:
    """The operation at a path below the base, which begins with a slash, and the ids in it; None: there is none."""
    parts = path[1:].split("/")
    for operation in _BY_LENGTH.get((method, len(parts)), ()):
        wanted = operation.path[1:].split("/")
        if all(want == part or want[0] == "{" for want, part in zip(wanted, parts, strict=True)):
            ids = {want[1:-1]: unquote(part) for want, part in zip(wanted, parts, strict=True) if want[0] == "{"}
            return operation, ids
    return None


def is_known(path: str) -> bool:
    """Whether the real platform has endpoints whose paths begin like this one."""
    return path[1:].partition("/")[0] in _FAMILIES


def is_within(method: str, path: str) -> bool:
    """Whether a request is for an endpoint that is not simulated among those of an API that is."""
    return (method, path) in _WITHIN


def other_call(
    found: tuple[OtherOperation, dict[str, str]],
    path: str,
    query: str,
    content_type: str | None,
    body: bytes,
    given: Mapping[str, Any],
) -> Call:
    """The call of a request for one of these endpoints; `given` stands where the body says nothing.

    Raises:
        ApiError: 400; the body is none that the endpoint reads.
    """
    operation, ids = found
    params: dict[str, Any] = dict(given)
    if operation.method == "POST":
        is_form = content_type is not None and content_type.partition(";")[0].strip().lower() == _FORM
        if is_form and operation.form:
            params |= parse_form(body, content_type or "")
        else:
            params |= parse_json_object(body, content_type)
    elif query:
        params |= dict(parse_qsl(query, keep_blank_values=True))
    lacking = _lacks(operation, params)
    if lacking is not None:
        return Call(UNKNOWN, refusal=not_simulated(operation.method, path, lacking))
    return OtherCall(operation.name, ids, params)


def _lacks(operation: OtherOperation, params: Mapping[str, Any]) -> str | None:
    """What of a simulated endpoint is not simulated and was asked for; None: nothing."""
    wanted = params.get("response_format")
    if operation.name == "audio.speech.create" and (wanted in _ABSENT or params.get("stream_format") == "sse"):
        return f"speech as {'events' if wanted not in _ABSENT else wanted}"
    if operation.name == "audio.transcriptions.create":
        if wanted in _UNSPOKEN:
            return f"transcriptions as {wanted}"
        if str(params.get("stream")).lower() == "true" and not str(params.get("model")).startswith("whisper"):
            return "streamed transcriptions"
    if operation.name == "chat.completions.create" and "audio" in (params.get("modalities") or ()):
        return "spoken chat completions"
    return None


def _by_length() -> dict[tuple[str, int], list[OtherOperation]]:
    found: dict[tuple[str, int], list[OtherOperation]] = {}
    for operation in OTHER_OPERATIONS:
        found.setdefault((operation.method, operation.path.count("/")), []).append(operation)
    return found


_BY_LENGTH: Final = _by_length()
