"""How bots of callbacks are judged: a message is an event of their client."""

import importlib


class Adapter:
    def __init__(self, bot, send):
        self.bot, self.send = bot, send

    async def handle(self, message):
        channel = self.bot.Channel(message.conversation, lambda text: self.send(message.conversation, text))
        self.bot.client.dispatch("message", self.bot.Message(channel, message.text))


def event_callbacks(openai_client, redis_client, send):
    return Adapter(importlib.import_module("event_callbacks"), send)


def event_callbacks_mended(openai_client, redis_client, send):
    return Adapter(importlib.import_module("event_callbacks_mended"), send)
