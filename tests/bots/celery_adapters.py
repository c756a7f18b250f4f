"""How the bots with Celery are judged. `threads` acknowledges as the usual pool of processes does; `solo` does tasks by
itself.
"""

import queue_answers
import queue_celery


class Adapter:
    def __init__(self, send, enqueue, pool="threads"):
        queue_answers.send = send
        self.enqueue, self.pool = enqueue, pool

    def handle(self, message):
        self.enqueue(message.id, message.conversation, message.thread_id, message.text)

    def serve(self):
        queue_celery.app.Worker(pool=self.pool, concurrency=1).start()


class InOrder(Adapter):
    def handle(self, message):
        self.enqueue(message.id, message.conversation, message.thread_id, message.sent_at, message.text)


def celery_early(openai_client, redis_client, send):
    return Adapter(send, queue_celery.answer_early.delay)


def celery_early_solo(openai_client, redis_client, send):
    return Adapter(send, queue_celery.answer_early.delay, "solo")


def celery_processes(openai_client, redis_client, send):
    return Adapter(send, queue_celery.answer_early.delay, "prefork")


def celery_late(openai_client, redis_client, send):
    return Adapter(send, queue_celery.answer_late.delay)


def celery_late_by_default(openai_client, redis_client, send):
    queue_celery.app.conf.broker_transport_options = {}  # a visibility timeout of an hour
    return Adapter(send, queue_celery.answer_late.delay)


def celery_side_by_side(openai_client, redis_client, send):
    return Adapter(send, queue_celery.answer_at_once.delay)


def celery_one_at_a_time(openai_client, redis_client, send):
    return InOrder(send, queue_celery.enqueue_for_one)
