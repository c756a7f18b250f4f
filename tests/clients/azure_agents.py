"""A conversation with the simulated API at Azure's addresses, held by `azure-ai-agents`.

    python azure_agents.py BASE_URL KEY

Needs the package `azure-ai-agents` and nothing of this project. Writes a JSON object to standard output: the package's
version, what each refusal said, how a run went, and per status at what seconds an append was sent while the API answered
with it. `run_azure.py` starts the server as it needs it.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from importlib.metadata import version
from typing import Any

from azure.ai.agents import AgentsClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy

STATUSES = (400, 409, 429, 500)


class Credential:
    """Hands out the key as a token, and notes for what."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As azure-core asks for it."""
        self.scopes += [each for each in scopes if each not in self.scopes]
        return AccessToken(self.key, int(time.time()) + 3600)


class WithoutTls(SansIOHTTPPolicy):  # type: ignore[misc]
    """Tokens are sent without TLS: the server is on this machine."""

    def on_request(self, request: Any) -> None:
        """Before azure-core looks."""
        request.context.options["enforce_https"] = False


class Sending(SansIOHTTPPolicy):  # type: ignore[misc]
    """Notes when each attempt is sent."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_request(self, request: Any) -> None:
        """Below the retries."""
        self.times.append(time.monotonic())


def main() -> None:
    """The conversation."""
    base, key = sys.argv[1].removesuffix("/v1"), sys.argv[2]
    credential, sending = Credential(key), Sending()
    client = AgentsClient(
        endpoint=f"{base}/api/projects/demo",
        credential=credential,
        per_call_policies=[WithoutTls()],
        per_retry_policies=[sending],
    )

    def control(method: str, path: str, data: Any) -> None:
        sent = urllib.request.Request(f"{base}/_relaysim{path}", json.dumps(data).encode(), method=method)
        sent.add_header("content-type", "application/json")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sent, timeout=30).close()

    def refusal(call: Any, *args: Any, **options: Any) -> list[Any]:
        try:
            call(*args, **options)
        except HttpResponseError as error:
            return [error.status_code, str(error).splitlines()[0]]
        return [200, ""]

    agent = client.create_agent(model="gpt-4o", name="helper", instructions="Help.")
    thread = client.threads.create()
    client.messages.create(thread_id=thread.id, role="user", content="Hello")
    run = client.runs.create(thread_id=thread.id, agent_id=agent.id)
    seen: dict[str, Any] = {
        "version": version("azure-ai-agents"),
        "append": refusal(client.messages.create, thread_id=thread.id, role="user", content="Hello?"),
        "run": refusal(client.runs.create, thread_id=thread.id, agent_id=agent.id),
    }
    control("POST", "/clock/advance", {"seconds": 20})
    seen["status"] = client.runs.get(thread_id=thread.id, run_id=run.id).status.value
    seen["messages"] = [each.text_messages[0].text.value for each in client.messages.list(thread_id=thread.id)]
    seen["cancel"] = refusal(client.runs.cancel, thread_id=thread.id, run_id=run.id)
    seen["scopes"] = credential.scopes
    seen["sent"] = {}
    for status in STATUSES:
        control("PUT", "/faults", {"faults": [{"kind": "status", "status": status, "route": "messages.create"}]})
        sending.times.clear()
        refusal(client.messages.create, thread_id=thread.id, role="user", content="Hello")
        seen["sent"][str(status)] = [each - sending.times[0] for each in sending.times]
    text = json.dumps(seen).replace(thread.id, "<thread>").replace(run.id, "<run>")
    print(text)


if __name__ == "__main__":
    main()
