"""How the bots with queues are judged: `handle` is what their webhook does, `serve` the loop of their worker."""

import os

import queue_answers
import queue_arq
import queue_consumer
import queue_rq
from arq.worker import create_worker
from rq import SimpleWorker, Worker


class Adapter:
    def __init__(self, send, enqueue, work):
        queue_answers.send = send
        self.enqueue, self.serve = enqueue, work

    def handle(self, message):
        self.enqueue(message.id, message.conversation, message.thread_id, message.text)


def consumer(openai_client, redis_client, send):
    return Adapter(send, queue_consumer.enqueue, queue_consumer.consume)


def reliable_consumer(openai_client, redis_client, send):
    return Adapter(send, queue_consumer.enqueue, lambda: queue_consumer.consume_reliably(os.uname().nodename))


def _rq_worker():
    SimpleWorker([queue_rq.queue], connection=queue_rq.connection, worker_ttl=60, maintenance_interval=30).work()


def rq_once(openai_client, redis_client, send):
    return Adapter(send, queue_rq.enqueue, _rq_worker)


def rq_with_retries(openai_client, redis_client, send):
    return Adapter(send, queue_rq.enqueue_with_retries, _rq_worker)


def rq_processes(openai_client, redis_client, send):
    return Adapter(send, queue_rq.enqueue, Worker([queue_rq.queue], connection=queue_rq.connection).work)


class ArqAdapter:
    def __init__(self, send, enqueue):
        queue_arq.send = send
        self.enqueue = enqueue

    async def handle(self, message):
        await self.enqueue(message.id, message.conversation, message.thread_id, message.sent_at, message.text)

    async def serve(self):
        await create_worker(queue_arq.WorkerSettings).async_run()


def arq_side_by_side(openai_client, redis_client, send):
    return ArqAdapter(send, queue_arq.enqueue)


def arq_one_at_a_time(openai_client, redis_client, send):
    return ArqAdapter(send, queue_arq.enqueue_for_one)
