"""Two plain consumers of a list in Redis. The first takes a job off the list before it has done it."""

import json

from queue_answers import answer, store


def enqueue(*job):
    store.rpush("jobs", json.dumps(job))


def consume():
    while True:
        found = store.blpop("jobs", timeout=2)
        if found is not None:
            answer(*json.loads(found[1]))


def consume_reliably(name):
    mine = f"jobs:{name}"
    while True:  # what is still there was begun before a crash
        job = store.lindex(mine, 0) or store.blmove("jobs", mine, 2)
        if job is not None:
            answer(*json.loads(job))
            store.lrem(mine, 1, job)
