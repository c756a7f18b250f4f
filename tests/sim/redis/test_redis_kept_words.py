"""Where in a server's data words are kept for good."""

from __future__ import annotations

from collections.abc import Callable

import fakeredis
import pytest

from relaysim.sim.redis.kept_words import keys_that_hold

WORDS = "Where is parcel 4711 … äöü?"


def server() -> tuple[fakeredis.FakeServer, fakeredis.FakeRedis]:
    made = fakeredis.FakeServer()
    return made, fakeredis.FakeRedis(server=made)


@pytest.mark.parametrize(
    "keep",
    [
        lambda redis: redis.set("key", f'{{"text": "{WORDS}"}}'),
        lambda redis: redis.rpush("key", "other", WORDS),
        lambda redis: redis.hset("key", "field", WORDS),
        lambda redis: redis.hset("key", WORDS, "value"),
        lambda redis: redis.sadd("key", "other", WORDS),
        lambda redis: redis.zadd("key", {WORDS: 1.0}),
        lambda redis: redis.xadd("key", {"text": WORDS}),
    ],
    ids=["string", "list", "hash's value", "hash's field", "set", "sorted set", "stream"],
)
def test_words_are_found_in_values_of_each_kind(keep: Callable[[fakeredis.FakeRedis], object]) -> None:
    made, redis = server()
    keep(redis)
    assert keys_that_hold(made, {"m1": WORDS, "m2": "Something that nobody keeps"}) == {"m1": "key"}
    redis.expire("key", 60)
    assert keys_that_hold(made, {"m1": WORDS}) == {}
    redis.persist("key")
    redis.delete("key")
    assert keys_that_hold(made, {"m1": WORDS}) == {}


def test_every_database_is_looked_at_and_the_first_key_is_told() -> None:
    made, redis = server()
    fakeredis.FakeRedis(server=made, db=3).set("there", WORDS)
    assert keys_that_hold(made, {"m1": WORDS}) == {"m1": "there"}
    redis.set("b", WORDS)
    redis.set("a", WORDS)
    assert keys_that_hold(made, {"m1": WORDS}) == {"m1": "a"}


@pytest.mark.parametrize("words", ["", "Hello there", " " * 20])
def test_short_words_are_anybodys(words: str) -> None:
    made, redis = server()
    redis.set("key", f"{words} and more")
    assert keys_that_hold(made, {"m1": words}) == {}
