"""A worker of Celery as its own process: its tasks begin, say so, and never end. Usage: URL, pool, early | late."""

import sys
import time

from celery import Celery

url, pool, ack = sys.argv[1:]
app = Celery("celery_held", broker=url, set_as_current=True)
app.conf.broker_connection_retry_on_startup = True


@app.task(name="hold", acks_late=ack == "late")
def hold():
    with app.connection_for_write() as connection:
        connection.default_channel.client.set("begun", 1)
    time.sleep(600)


if __name__ == "__main__":
    hold.delay()
    app.Worker(pool=pool, concurrency=1, quiet=True, without_mingle=True, without_gossip=True).start()
