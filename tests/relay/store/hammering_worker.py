"""One process of `test_store_processes.py`: accepts messages, drains conversations, and sometimes fails at it.

    python hammering_worker.py SOCKET INDEX PROCESSES MESSAGES

It prints one line of JSON per thing that happened, and ends when every process has accepted its messages and none waits.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from typing import Any

import redis.asyncio

from relaysim.relay.drain.store import EntryState, Lease, LeaseLost, Store
from relaysim.relay.messages import Outcome

LEASE_SECONDS = 0.3
CONVERSATIONS = 4
BATCH_MAX = 5

DIES, HANDS_BACK, STANDS_STILL = 0.02, 0.04, 0.06
"""A turn's fate is drawn evenly between 0 and 1; below these it goes wrong, and how depends on which it is below."""
FIRST_FATES = (HANDS_BACK, 0.0)
"""The first turns of the first processes: one stands still and one dies, however few turns there are on a slow machine."""


class Worker:
    def __init__(self, client: redis.asyncio.Redis, index: int, processes: int, messages: int) -> None:
        self.client = client
        self.index = index
        self.processes = processes
        self.messages = messages
        self.random = random.Random(index)
        self.fates = [*FIRST_FATES[index : index + 1]]
        self.drains: set[asyncio.Task[None]] = set()
        self.store = Store(
            client, prefix="relay:", lease_seconds=LEASE_SECONDS, remember_seconds=604_800.0, timeout_seconds=30.0
        )

    def tell(self, what: str, *words: Any) -> None:
        print(json.dumps([what, *words]), flush=False)

    async def run(self) -> None:
        sweeping = asyncio.create_task(self.sweep())
        await self.feed()
        await self.client.incr("fed")
        await sweeping
        await asyncio.gather(*self.drains)

    async def feed(self) -> None:
        for number in range(self.messages):
            # Now and then a redelivery, perhaps of what another process has not accepted yet.
            sender = self.index if self.random.random() < 0.8 else self.random.randrange(self.processes)
            id = f"{sender}-{number}"
            conversation = f"c{(sender + number) % CONVERSATIONS}"
            token = uuid.uuid4().hex
            accepted = await self.store.accept(conversation, id, f"text of {id}", None, token=token)
            if accepted.first:
                self.tell("accepted", conversation, id)
            if accepted.lease is not None:
                self.begin(accepted.lease, "new message" if accepted.first else "redelivery")
            await asyncio.sleep(self.random.random() * 0.02)

    async def sweep(self) -> None:
        while True:
            for conversation in await self.store.due(10):
                lease = await self.store.claim(conversation, token=uuid.uuid4().hex)
                if lease is not None:
                    self.begin(lease, "sweep")
            fed = int(await self.client.get("fed") or 0)
            if fed == self.processes and await self.store.depth() == 0:
                return
            await asyncio.sleep(0.05)

    def begin(self, lease: Lease, how: str) -> None:
        self.tell("granted", lease.conversation, lease.epoch, lease.token, time.monotonic(), how)
        task = asyncio.create_task(self.drain(lease))
        self.drains.add(task)

    async def drain(self, lease: Lease) -> None:
        try:
            while await self.turn(lease):
                pass
        except LeaseLost:
            self.tell("lost", lease.conversation, lease.epoch)

    async def turn(self, lease: Lease) -> bool:
        inbox = await self.step(lease, self.store.inbox(lease))
        fate = self.random.random()
        if not inbox.entries:
            released = await self.step(lease, self.store.release(lease))
            if released:
                self.tell("released", lease.conversation, lease.epoch)
            return not released
        if self.fates:
            fate = self.fates.pop()
        ids = [entry.id for entry in inbox.entries[:BATCH_MAX]]
        for entry in inbox.entries:
            if entry.text != f"text of {entry.id}":
                self.tell("wrong text", entry.id)
            if entry.state is EntryState.SENDING and entry.send_epoch != lease.epoch and entry.id not in ids:
                self.tell("out of order", entry.id)
        await self.step(lease, self.store.intend(lease, uuid.uuid4().hex, ids))
        if fate < DIES:
            self.tell("died", lease.conversation, lease.epoch)
            return False
        await self.step(lease, self.store.started(lease, inbox.request_id or "r", "run", ids))
        if fate < HANDS_BACK:
            await self.step(lease, self.store.hand_back(lease))
            return False
        await self.step(lease, self.store.begin_send(lease, ids, Outcome.ANSWERED))
        if fate < STANDS_STILL:
            # As if the machine stood still: everything after this is stale.
            await asyncio.sleep(1.3 * LEASE_SECONDS)
            self.tell("stood still", lease.conversation, lease.epoch)
            await self.store.end(lease, dict.fromkeys(ids, Outcome.LOST))
            self.tell("ended although the lease was over", lease.conversation, lease.epoch)
        await self.step(lease, self.store.renew(lease))
        await self.step(lease, self.store.end(lease, dict.fromkeys(ids, Outcome.ANSWERED)))
        numbers = [entry.number for entry in inbox.entries[:BATCH_MAX]]
        self.tell("ended", lease.conversation, lease.epoch, list(zip(ids, numbers, strict=True)))
        return True

    async def step(self, lease: Lease, step: Any) -> Any:
        sent_at = time.monotonic()
        reply = await step
        self.tell("step", lease.conversation, lease.epoch, sent_at)
        return reply


async def main() -> None:
    socket, *numbers = sys.argv[1:]
    index, processes, messages = map(int, numbers)
    # Every second client decodes what it reads: the store must not mind.
    async with redis.asyncio.Redis(unix_socket_path=socket, decode_responses=bool(index % 2)) as client:
        await Worker(client, index, processes, messages).run()


if __name__ == "__main__":
    asyncio.run(main())
