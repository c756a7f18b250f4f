"""Customers: SimPy processes who write messages, get texts, and on the friendly apology try again."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Protocol

import simpy

from relaysim.sim.kernel import Kernel, ticks
from relaysim.sim.trace.schema import MessageSent, Received
from relaysim.sim.world.names import conversation_name, message_name
from relaysim.sim.world.settings import Bursts, ScriptedMessage, WorldSettings
from relaysim.sim.world.target import SentMessage
from relaysim.sim.world.varied_texts import odd_text, varied_text, whole_text


class CustomersWorld(Protocol):
    """What a customer needs of the world."""

    kernel: Kernel
    settings: WorldSettings

    def post(self, message: SentMessage, worker: int | None, soon: float | None) -> None:
        """Deliver a message to the relay, through its webhooks; to that worker first, where one is given, and after so many
        seconds, where they are given."""

    def start_writing(self, process: Generator[simpy.Event, Any, None]) -> None:
        """Start a process that writes messages: the world is not over while it goes on."""


class Customer:
    """One customer, in one conversation."""

    def __init__(self, world: CustomersWorld, number: int, thread_id: str) -> None:
        self.world = world
        self.number = number
        self.name = conversation_name(number, world.settings.names)
        self.entity = f"customer:c{number}"
        self.thread_id = thread_id
        self.messages_sent = 0
        self.last: SentMessage | None = None

    def follow_script(self, number: int, scripted: ScriptedMessage, offset: float) -> Generator[simpy.Event, Any, None]:
        """Send one scripted message at its time; `number` is its place in the workload's list, from 1."""
        kernel = self.world.kernel
        at = scripted.at_seconds.sample(kernel.draws.uniform(self.entity, "script", number))
        yield kernel.env.timeout(ticks(offset + at))
        self.write(worker=scripted.worker)

    def write_bursts(self, bursts: Bursts, offset: float) -> Generator[simpy.Event, Any, None]:
        """Write bursts until no new one may begin; `offset`: how many seconds from now they begin."""
        kernel = self.world.kernel
        env, draws = kernel.env, kernel.draws
        until = env.now + offset + bursts.duration_seconds
        yield env.timeout(ticks(offset + draws.seconds(bursts.first_seconds.sampler, self.entity, "first-burst", 0)))
        burst = 0
        while env.now < until:
            for position in range(
                _burst_length(bursts.messages_mean, draws.uniform(self.entity, "burst-length", burst))
            ):
                if position:
                    index = burst * 1000 + position
                    gap = draws.seconds(bursts.gap_seconds.sampler, self.entity, "burst-gap", index)
                    yield env.timeout(ticks(gap))
                self.write()
            pause = draws.seconds(bursts.pause_seconds.sampler, self.entity, "burst-pause", burst)
            yield env.timeout(ticks(pause))
            burst += 1

    def write(
        self,
        *,
        worker: int | None = None,
        again: SentMessage | None = None,
        soon: float | None = None,
        text: str | None = None,
    ) -> SentMessage:
        """Write a message; `again` is the one that it repeats. Its webhook arrives after `soon` seconds, or as they do. It
        says `text`, or what such customers write."""
        self.messages_sent += 1
        message_id = message_name(self.number, self.messages_sent, self.world.settings.names)
        if text is None:
            text = self._text(message_id, again=again is not None)
        tries = 0 if again is None else again.tries + 1
        tells = self.world.settings.workload.tells_time or self.world.settings.provider is not None
        sent_at = self.world.kernel.unix_now if tells else None
        message = SentMessage(message_id, self.name, text, self.thread_id, tries, sent_at)
        self.last = message
        retry_of = None if again is None else again.id
        sent = MessageSent(message_id=message_id, conversation=self.name, text=whole_text(text), retry_of=retry_of)
        self.world.kernel.trace.add(self.entity, sent)
        self.world.post(message, worker, soon)
        return message

    def _text(self, message_id: str, *, again: bool) -> str:
        texts, draws = self.world.settings.workload.texts, self.world.kernel.draws
        if texts == "numbered":
            label = f"c{self.number}.m{self.messages_sent}"
            return f"Question [{label}], once more" if again else f"Question [{label}]"
        last, repeats = self.last, self.world.settings.workload.repeats_probability
        if repeats and last is not None and draws.rare(message_id, "repeats", 0) < repeats:
            return last.text
        u = draws.uniform(message_id, "text", 0)
        if texts == "odd":
            return odd_text(self.number, self.messages_sent, u)
        return varied_text(self.number, self.messages_sent, u)

    def receive(self, text: str) -> None:
        """A text arrives."""
        world = self.world
        world.kernel.trace.add(self.entity, Received(conversation=self.name, text=text))
        workload = world.settings.workload
        message = self.last
        answers = workload.answers_probability
        if answers and world.kernel.draws.rare(self.entity, "answers") < answers:
            self.write()
            return
        if (
            text == world.settings.relay.friendly_text
            and workload.try_again_seconds is not None
            and message is not None
            and message.tries < workload.tries_again_max
        ):
            world.start_writing(self._try_again(message, workload.try_again_seconds))

    def _try_again(self, message: SentMessage, seconds: float) -> Generator[simpy.Event, Any, None]:
        yield self.world.kernel.env.timeout(ticks(seconds))
        if self.last is message:
            # Whoever wrote something new meanwhile does not repeat the old message.
            self.write(again=message)


def _burst_length(mean: float, u: float) -> int:
    """1 + a geometric number of further messages, `mean` in all; capped at 100, against endless bursts."""
    if mean <= 1:
        return 1
    more = 1 - 1 / mean
    return 1 + min(int(math.log(u) / math.log(more)), 99)
