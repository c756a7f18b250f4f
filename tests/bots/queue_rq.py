"""RQ: a job whose worker died is abandoned, and comes again only if it may be retried."""

import redis
from queue_answers import URL, answer
from rq import Queue, Retry

connection = redis.Redis.from_url(URL)
queue = Queue(connection=connection, default_timeout=60)


def enqueue(*job):
    queue.enqueue(answer, *job)


def enqueue_with_retries(*job):
    queue.enqueue(answer, *job, retry=Retry(max=3))
