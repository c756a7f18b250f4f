"""A plain bot on Foundry's agents (classic), with the unmodified client `azure-ai-agents`, which it makes itself."""

from __future__ import annotations

import time
from typing import Any

from azure.ai.agents import AgentsClient
from azure.core.credentials import AccessToken


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)


class Bot:
    def __init__(self, send: Any) -> None:
        endpoint = "https://mine.services.ai.azure.com/api/projects/demo"
        self.client, self.send = AgentsClient(endpoint=endpoint, credential=Credential()), send

    def handle(self, message: Any) -> None:
        thread = message.thread_id
        self.client.messages.create(thread_id=thread, role="user", content=message.text)
        run = self.client.runs.create(thread_id=thread, agent_id="asst_relaysim")
        while run.status in ("queued", "in_progress"):
            time.sleep(1)
            run = self.client.runs.get(thread_id=thread, run_id=run.id)
        said = self.client.messages.get_last_message_text_by_role(thread_id=thread, role="assistant")
        self.send(message.conversation, said.text.value)


def make(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(send)
