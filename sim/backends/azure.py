"""Azure's addresses of the same APIs, and whom they let in.

| address | of | key |
|---|---|---|
| `/openai/...?api-version=` | Azure OpenAI; `deployments/{name}/` may stand before what generates | `api-key`, or bearer |
| `/openai/v1/...` | Azure OpenAI's own `v1`, with or without `api-version` | `api-key`, or bearer |
| `/api/projects/{project}/...?api-version=` | Foundry agents (classic), of `azure-ai-agents` | bearer, or `api-key` |
| `/api/projects/{project}/openai/...` | the OpenAI client of a Foundry project | bearer, or `api-key` |

What stands behind them is the same, without a beta header. Evidence: the addresses and the keys are executed (clients openai
3.54.0 and azure-ai-agents 1.1.0); refusals are relied on by public reports, where no version is named inferred.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from relaysim.sim.backends.errors import ApiError

DOMAINS: Final = ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com")
"""Below which the resources of customers have their names."""

VERSION: Final = "api-version"

_OPENAI: Final = re.compile(r"(?:/api/projects/[^/]+)?/openai(/v1)?(?:/deployments/([^/]+))?(/.+)")
_PROJECT: Final = re.compile(r"/api/projects/[^/]+(/.+)")


class AzurePlace(NamedTuple):
    """What a path and a query at Azure mean.

    Attributes:
        path: below the API's base, with a slash at its beginning.
        query: the rest of the query.
        given: parameters that the path names: the deployment as `model`.
        refusal: set if the request is refused for its address.
    """

    path: str
    query: str
    given: Mapping[str, Any]
    refusal: ApiError | None = None


def place_of(path: str, query: str) -> AzurePlace | None:
    """What an address at Azure means; None: it is none of Azure's."""
    openai = _OPENAI.fullmatch(path)
    project = None if openai else _PROJECT.fullmatch(path)
    if openai is None and project is None:
        return None
    parts = [part for part in query.split("&") if part]
    versions = [part for part in parts if unquote(part.partition("=")[0]) == VERSION]
    others = "&".join(part for part in parts if part not in versions)
    needs_version = project is not None or (openai is not None and openai[1] is None)
    refusal = None
    if needs_version and not any(part.partition("=")[2] for part in versions):
        refusal = _no_version() if project else _resource_not_found()
    if project is not None:
        return AzurePlace(project[1], others, {}, refusal)
    assert openai is not None
    return AzurePlace(openai[3], others, {} if openai[2] is None else {"model": unquote(openai[2])}, refusal)


def check_key(headers: Mapping[str, str], keys: Collection[str] | None) -> None:
    """Raise the ApiError that refuses headers (lower-case names) without an accepted key. `keys`: None: any."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = headers.get("api-key", "").strip() or (token.strip() if scheme.lower() == "bearer" else "")
    if key and (keys is None or key in keys):
        return
    if "authorization" in headers:
        raise _refused(
            401,
            "Unauthorized",
            "Unauthorized. Access token is missing, invalid, audience is incorrect, or has expired.",
        )
    raise _refused(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
    )


def _no_version() -> ApiError:
    return _refused(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    )


def _resource_not_found() -> ApiError:
    return _refused(404, "404", "Resource not found")


def _refused(status: int, code: str, message: str) -> ApiError:
    """One of the gateway's own answers, whose bodies have two keys."""
    raw = json.dumps({"error": {"code": code, "message": message}}).encode()
    return ApiError(status, message, type="", code=code, raw=raw)
