"""The program as a process, on a real server, against the simulated API and the simulator's provider."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from program_runs import (
    PATIENCE_SECONDS,
    Phone,
    Program,
    environment_of,
    keeping_server,
    message,
    outcome,
    running,
    until,
    webhook,
)

from relaysim.relay import Outcome
from relaysim.sim.backends.threads.fixtures import ServedOpenAI
from relaysim.sim.providers import Evolution, WhatsApp
from relaysim.sim.providers.http import HttpResponse

ENDED_WELL = (Outcome.ANSWERED, Outcome.COVERED)


def test_a_message_in_an_answer_out(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    with running(environment, tmp_path) as program:
        verification = whatsapp.verification()
        assert program.deliver(verification) == 200
        told = message(1, text="Bom dia 🙏 é isto")
        assert program.deliver(webhook(whatsapp, told)) == 200
        until(lambda: phone.texts("c1"))
        until(lambda: outcome(store, whatsapp, told) == Outcome.ANSWERED)
        assert "Bom dia 🙏 é isto" in phone.texts("c1")[0]
        # Again, and again: its webhook is acknowledged, and it is not answered again.
        for _ in range(3):
            assert program.deliver(webhook(whatsapp, told)) == 200
        later = message(2, text="Até logo")
        assert program.deliver(webhook(whatsapp, later)) == 200
        until(lambda: outcome(store, whatsapp, later))
        assert len(phone.texts("c1")) == 2
        metrics = program.ask("GET", "/metrics")[1].decode()
        assert 'relay_webhooks_total{answer="200"} 5.0' in metrics
        assert "relay_messages_duplicate_total 3.0" in metrics
        assert program.ask("GET", "/healthz")[0] == 200
        assert program.end() == 0
    log = program.log.read_text()
    for secret in ("relaysim-secret", "relaysim-token", "relaysim-verify", environment["OPENAI_API_KEY"]):
        assert secret not in log
    for words in ("Bom dia", "Até logo", whatsapp.address("c1"), whatsapp.message_id("c1.m1")):
        assert words not in log
    assert program.event("handed_over")["all"] is True


def test_several_messages_of_one_webhook_and_statuses(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    with running(environment, tmp_path) as program:
        first, second = message(1), message(2)
        assert program.deliver(webhook(whatsapp, first, second)) == 200
        for each in (first, second):
            until(lambda each=each: outcome(store, whatsapp, each) in ENDED_WELL)
        text = phone.taken[0]
        for notification in whatsapp.notifications(text, 1, time.time()):
            assert program.deliver(notification.request) == 200
        metrics = program.ask("GET", "/metrics")[1].decode()
        assert 'relay_webhook_items_total{kind="status"} 3.0' in metrics
        assert "relay_messages_accepted_total 2.0" in metrics


def test_evolution_and_its_echoes(
    tmp_path: Path, connection: dict[str, Any], store: redis.Redis, api: ServedOpenAI
) -> None:
    evolution = Evolution(lid_share=0.5)
    with Phone(evolution) as phone:
        url = f"unix://{connection['unix_socket_path']}"
        environment = {**environment_of(evolution, phone.url, url, tmp_path), **api.environment()}
        with running(environment, tmp_path) as program:
            told = [message(number) for number in range(1, 9)]  # by both of the customer's names
            for each in told:
                assert program.deliver(webhook(evolution, each)) == 200
            for each in told:
                until(lambda each=each: outcome(store, evolution, each) in ENDED_WELL)
            sent = len(phone.taken)
            for notification in evolution.notifications(phone.taken[0], 1, time.time()):
                assert program.deliver(notification.request) == 200
            forged = Evolution(secret="somebody-elses")
            assert program.deliver(webhook(forged, message(50))) == 403
            time.sleep(0.5)
            assert len(phone.taken) == sent
            assert len(store.keys("thread:*")) == 1
            assert program.end() == 0


def test_forged_long_deep_and_foreign_bodies_are_refused(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    with running(environment, tmp_path) as program:
        good = webhook(whatsapp, message(1))
        forged = webhook(WhatsApp(secret="somebody-elses"), message(1))
        unsigned = {name: value for name, value in good.headers.items() if name != "x-hub-signature-256"}
        answers = {
            "forged": program.ask("POST", "/webhook", forged.body, forged.headers),
            "unsigned": program.ask("POST", "/webhook", good.body, unsigned),
            "changed": program.ask("POST", "/webhook", good.body.replace(b"Message", b"message"), good.headers),
            "a form": program.ask("POST", "/webhook", b"a=b", {"content-type": "application/x-www-form-urlencoded"}),
            "compressed": program.ask("POST", "/webhook", good.body, {**good.headers, "content-encoding": "gzip"}),
            "elsewhere": program.ask("POST", "/", good.body, good.headers),
            "put": program.ask("PUT", "/webhook", good.body, good.headers),
            "verification": program.ask("GET", "/webhook?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1"),
        }
        statuses = {name: status for name, (status, _) in answers.items()}
        assert statuses == {
            "forged": 403,
            "unsigned": 401,
            "changed": 403,
            "a form": 415,
            "compressed": 415,
            "elsewhere": 404,
            "put": 405,
            "verification": 403,
        }
        assert {body for _, body in answers.values()} <= {b"refused", b"not found", b"method not allowed", b"forbidden"}
        _assert_three_megabytes_are_refused(program, good.headers)
        assert program.ask("GET", "/readyz")[0] == 200
        assert program.deliver(good) == 200
        until(lambda: phone.taken)
    assert "Traceback" not in program.log.read_text()
    assert store.keys("relay:message:*") == [
        f"relay:message:{whatsapp.address('c1')}:{whatsapp.message_id('c1.m1')}",
    ]


def _assert_three_megabytes_are_refused(program: Program, headers: Any) -> None:
    """Before they have all been sent: a head that announces them is enough, and so are the first two without one."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for length, sends in (("content-length: 3000000", 1), ("transfer-encoding: chunked", 2_900_000)):
        with socket.create_connection(("127.0.0.1", program.port), timeout=30.0) as connection:
            connection.sendall(f"POST /webhook HTTP/1.1\r\n{head}{length}\r\n\r\n".encode())
            chunk = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000) if sends > 1 else b" "
            sent = 0
            try:
                while sent < sends:
                    connection.sendall(chunk)
                    sent += 100_000
            except OSError:
                pass  # it listens no more, which is what is wanted; its answer may be there all the same
            try:
                answer = connection.recv(65_536)
            except OSError:
                answer = b""
            assert answer.startswith(b"HTTP/1.1 413 ") or (answer == b"" and sends > 1)
    assert program.event("webhook_refused") is not None
    assert [event["status"] for event in program.events() if event["event"] == "webhook_refused"][-2:] == [413, 413]


def test_without_redis_nothing_is_acknowledged(
    tmp_path: Path, whatsapp: WhatsApp, phone: Phone, api: ServedOpenAI
) -> None:
    folder = tmp_path / "redis"
    url = f"unix://{folder / 'server.sock'}"
    environment = {**environment_of(whatsapp, phone.url, url, tmp_path), **api.environment()}
    told = message(1)
    with running(environment, tmp_path, ready=False) as program:
        assert program.deliver(webhook(whatsapp, told)) == 503
        assert program.ask("GET", "/healthz")[0] == 200
        status, body = program.ask("GET", "/readyz")
        assert status == 503
        assert "no connection to Redis" in json.loads(body)["why"][0], body
        with keeping_server(folder) as how, redis.Redis(**how, decode_responses=True) as store:
            until(lambda: program.ask("GET", "/readyz")[0] == 200)
            assert program.deliver(webhook(whatsapp, told)) == 200
            until(lambda: outcome(store, whatsapp, told) == Outcome.ANSWERED)
        assert program.deliver(webhook(whatsapp, message(2))) == 503
        assert program.end() == 0
    assert len(phone.taken) == 1


def test_a_redis_that_stands_still_is_not_waited_for_until_the_provider_gives_up(
    tmp_path: Path, whatsapp: WhatsApp, phone: Phone, api: ServedOpenAI
) -> None:
    folder = tmp_path / "redis"
    told = [message(number, f"c{number}") for number in range(1, 4)]
    with keeping_server(folder) as how, redis.Redis(**how, decode_responses=True) as store:
        url = f"unix://{how['unix_socket_path']}"
        environment = {**environment_of(whatsapp, phone.url, url, tmp_path), **api.environment()}
        server = store.info("server")["process_id"]
        with running(environment, tmp_path) as program:
            os.kill(server, signal.SIGSTOP)
            try:
                began = time.monotonic()
                assert [program.deliver(webhook(whatsapp, each)) for each in told] == [503, 503, 503]
                assert time.monotonic() - began < 5.0  # the provider allows that to one of them
            finally:
                os.kill(server, signal.SIGCONT)
            until(lambda: program.ask("GET", "/readyz")[0] == 200)
            for each in told:
                assert program.deliver(webhook(whatsapp, each)) == 200
            for each in told:
                until(lambda each=each: outcome(store, whatsapp, each) == Outcome.ANSWERED)
            assert len(phone.taken) == 3
            assert program.end() == 0


def test_a_webhook_that_has_begun_is_finished_at_a_stop_and_none_begins(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    told = message(1)
    request = webhook(whatsapp, told)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    half = len(request.body) // 2
    with running(environment, tmp_path) as program:
        with socket.create_connection(("127.0.0.1", program.port), timeout=30.0) as connection:
            length = f"content-length: {len(request.body)}\r\n\r\n"
            connection.sendall(f"POST /webhook HTTP/1.1\r\n{head}{length}".encode() + request.body[:half])
            until(lambda: b"relay_webhooks_open 1.0" in program.ask("GET", "/metrics")[1])
            program.process.send_signal(signal.SIGTERM)
            until(lambda: program.deliver_or_none(webhook(whatsapp, message(2))) is None, "a refusal to listen")
            connection.sendall(request.body[half:])
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert program.process.wait(PATIENCE_SECONDS) == 0
    assert outcome(store, whatsapp, told) is None
    assert store.zcard("relay:due") == 1
    with running(environment, tmp_path) as program:
        until(lambda: outcome(store, whatsapp, told) == Outcome.ANSWERED)
        assert len(phone.taken) == 1
        assert program.end() == 0


def test_a_second_signal_ends_at_once_and_nothing_is_lost(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    told = message(1)
    phone.silent_seconds = 30.0
    with running(environment, tmp_path) as program:
        assert program.deliver(webhook(whatsapp, told)) == 200
        until(lambda: phone.taken, "a text on its way")
        program.process.send_signal(signal.SIGTERM)
        until(lambda: program.event("stopping"))
        assert program.end(signal.SIGINT, 10.0) == 0
        handed_over = program.event("handed_over")
        assert handed_over is not None
        assert handed_over["seconds"] < 2.0
    phone.silent_seconds = 0.0
    with running(environment, tmp_path) as program:
        until(lambda: outcome(store, whatsapp, told) == Outcome.UNKNOWN)
        assert len(phone.taken) == 1
        assert program.end() == 0


def test_a_redis_that_forgets_takes_nothing_in(
    tmp_path: Path, whatsapp: WhatsApp, phone: Phone, api: ServedOpenAI
) -> None:
    folder = tmp_path / "redis"
    with keeping_server(folder, appendonly="no") as how, redis.Redis(**how) as store:
        url = f"unix://{how['unix_socket_path']}"
        environment = {**environment_of(whatsapp, phone.url, url, tmp_path), **api.environment()}
        with running(environment, tmp_path, ready=False) as program:
            until(lambda: program.event("redis_durability"))
            assert program.deliver(webhook(whatsapp, message(1))) == 503
            assert b"appendonly yes" in program.ask("GET", "/readyz")[1]
            store.config_set("appendonly", "yes")
            until(lambda: program.ask("GET", "/readyz")[0] == 200)
            store.config_set("appendonly", "no")
        with running({**environment, "RELAY_WHEN_REDIS_FORGETS": "warn"}, tmp_path) as program:
            assert program.deliver(webhook(whatsapp, message(2))) == 200
            assert program.event("redis_durability")["level"] == "warning"
        store.config_set("appendonly", "yes")
        store.config_set("maxmemory", "100mb")
        store.config_set("maxmemory-policy", "allkeys-lru")
        with running(environment, tmp_path, ready=False) as program:
            until(lambda: program.event("redis_evicts"))
            assert program.deliver(webhook(whatsapp, message(3))) == 503
            assert b"noeviction" in program.ask("GET", "/readyz")[1]


def test_a_stop_in_the_middle_loses_nothing(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis, api: ServedOpenAI
) -> None:
    told = [message(number, f"c{number % 5 + 1}") for number in range(20)]
    with running(environment, tmp_path) as first, running(environment, tmp_path) as second:
        api.set_speed(0)
        for each in told[:10]:
            assert first.deliver(webhook(whatsapp, each)) == 200
        until(lambda: any(store.hget(key, "run") for key in store.keys("relay:conversation:*")))
        assert first.end() == 0
        assert first.event("handed_over")["all"] is True
        assert first.event("stopped")["by_signal"] is True
        for each in told[10:]:
            assert second.deliver(webhook(whatsapp, each)) == 200
        api.set_speed(20)
        for each in told:
            until(lambda each=each: outcome(store, whatsapp, each) in ENDED_WELL)
        answered = [each for each in told if outcome(store, whatsapp, each) == Outcome.ANSWERED]
        assert len(phone.taken) == len(answered)
        assert second.end() == 0


def test_kills_in_the_middle_lose_nothing_and_answer_nothing_twice(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    _assert_kills_do_no_harm(
        environment, tmp_path, whatsapp, phone, store, messages=40, conversations=7, kills=3, seconds=150.0
    )


@pytest.mark.soak
def test_ten_thousand_messages_and_kills_at_random(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    unknown = _assert_kills_do_no_harm(
        environment, tmp_path, whatsapp, phone, store, messages=10_000, conversations=500, kills=40, seconds=3_000.0
    )
    print(f"10,000 messages, 40 kills: {unknown} of unknown fate")


def _assert_kills_do_no_harm(
    environment: dict[str, str],
    folder: Path,
    provider: WhatsApp,
    phone: Phone,
    store: redis.Redis,
    *,
    messages: int,
    conversations: int,
    kills: int,
    seconds: float = PATIENCE_SECONDS,
) -> int:
    """The provider delivers until each is acknowledged, while the program is killed, wherever it is then, and started again.

    Returns how many messages ended as unknown.
    """
    chance = random.Random(messages)
    told = [message(number, f"c{number % conversations + 1}") for number in range(messages)]
    waiting = list(told)
    share = -(-messages // (kills + 1))
    for life in range(kills + 1):
        last = life == kills
        with running(environment, folder) as program:
            left = max(0, len(waiting) - share) if not last else 0
            while len(waiting) > left:
                each = waiting.pop(0)
                if program.deliver_or_none(webhook(provider, each)) != 200:
                    waiting.append(each)
            if not last:
                time.sleep(chance.uniform(0.0, 1.5))
                assert program.end(signal.SIGKILL) == -signal.SIGKILL
                continue
            deadline = time.monotonic() + seconds
            until(lambda: not store.exists("relay:due"), "the end of all", seconds)
            assert time.monotonic() < deadline
            assert program.end() == 0
    unknown = 0
    for number in range(1, conversations + 1):
        conversation = f"c{number}"
        ends = [outcome(store, provider, each) for each in told if each.conversation == conversation]
        assert set(ends) <= {*ENDED_WELL, Outcome.UNKNOWN}, conversation
        # A reply ends one message as answered and the others of its run as covered. More texts than that are those of
        # which the ledger says that nobody knows.
        answered, in_doubt = ends.count(Outcome.ANSWERED), ends.count(Outcome.UNKNOWN)
        assert answered <= len(phone.texts(conversation)) <= answered + in_doubt, conversation
        unknown += in_doubt
    return unknown


AT_ITS_END = """
import atexit, gc, os
atexit.register(lambda: open(os.environ["FROZEN"], "w").write(str(gc.get_freeze_count())))
"""


def test_what_is_loaded_at_its_start_is_no_business_of_the_garbage_collector(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_ITS_END)
    frozen = tmp_path / "frozen"
    with running({**environment, "PYTHONPATH": str(tmp_path), "FROZEN": str(frozen)}, tmp_path) as program:
        assert program.end() == 0
    assert int(frozen.read_text()) > 50_000


def test_a_process_that_answers_none_takes_in_for_the_others(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    told = [message(number, f"c{number % 6 + 1}") for number in range(12)]
    with running({**environment, "RELAY_ANSWERING_MAX": "0"}, tmp_path) as taking:
        for each in told:
            assert taking.deliver(webhook(whatsapp, each)) == 200
        time.sleep(1.0)
        assert phone.taken == []
        assert store.zcard("relay:due") == 6
        with running({**environment, "RELAY_ANSWERING_MAX": "2"}, tmp_path) as answering:
            most = 0
            while store.exists("relay:due"):
                most = max(most, len(store.keys("relay:lease:*")))
                time.sleep(0.02)
            assert most <= 2
            for each in told:
                assert outcome(store, whatsapp, each) in ENDED_WELL
            assert answering.end() == 0
        assert taking.end() == 0


def test_an_embedded_server_keeps_its_data_and_ends_with_the_program(
    environment: dict[str, str], tmp_path: Path, phone: Phone, whatsapp: WhatsApp
) -> None:
    folder = tmp_path / "data"
    embedded = {**environment, "REDIS_URL": "embedded", "RELAY_EMBEDDED_FOLDER": str(folder)}
    told = message(1)
    with running({**embedded, "RELAY_ANSWERING_MAX": "0"}, tmp_path) as program:
        assert program.deliver(webhook(whatsapp, told)) == 200
        time.sleep(1.5)  # the file is synced once a second, and this machine loses no power: written would do
        assert program.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not _listens(folder / "server.sock"), "the server's end")
    with running(embedded, tmp_path) as program:
        until(lambda: phone.texts("c1"))
        assert program.deliver(webhook(whatsapp, told)) == 200
        assert program.end() == 0
    assert not _listens(folder / "server.sock")
    assert len(phone.texts("c1")) == 1


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(path)) == 0


def test_texts_of_unknown_fate_are_not_sent_again_and_refused_ones_are(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    refusals = [whatsapp.limited(6.0), whatsapp.not_sent()]
    with running(environment, tmp_path) as program:
        phone.answer_with = lambda number: refusals.pop() if refusals else None
        refused = message(1, "c1")
        assert program.deliver(webhook(whatsapp, refused)) == 200
        until(lambda: outcome(store, whatsapp, refused) == Outcome.ANSWERED)
        assert len(phone.texts("c1")) == 1
        assert not refusals
        phone.answer_with = lambda number: HttpResponse(502, {"content-type": "text/html"}, b"<html>")
        lost = message(2, "c2")
        assert program.deliver(webhook(whatsapp, lost)) == 200
        until(lambda: outcome(store, whatsapp, lost) == Outcome.UNKNOWN)
        phone.answer_with = lambda number: None
        phone.silent_seconds = 3.0  # longer than a text may take
        silent = message(3, "c3")
        assert program.deliver(webhook(whatsapp, silent)) == 200
        until(lambda: outcome(store, whatsapp, silent) == Outcome.UNKNOWN)
        phone.silent_seconds = 0.0
        time.sleep(0.5)
        assert len(phone.texts("c3")) == 1
        assert phone.texts("c2") == []
        metrics = program.ask("GET", "/metrics")[1].decode()
        assert 'relay_texts_total{fate="not_taken"} 2.0' in metrics
        assert 'relay_texts_total{fate="unknown"} 2.0' in metrics


def test_the_served_api_of_responses_answers_too(
    environment: dict[str, str], tmp_path: Path, whatsapp: WhatsApp, phone: Phone, store: redis.Redis
) -> None:
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", "--api", "responses", "--port", "0"]
    with subprocess.Popen([*command, "--speed", "20", "--json"], stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            told = json.loads(served.stdout.readline())
            environment |= {
                "RELAY_API": "responses",
                "RELAY_MODEL": "gpt-4.1",
                "OPENAI_BASE_URL": told["base_url"],
            }
            with running(environment, tmp_path) as program:
                each = message(1)
                assert program.deliver(webhook(whatsapp, each)) == 200
                until(lambda: outcome(store, whatsapp, each) == Outcome.ANSWERED)
                assert len(phone.texts("c1")) == 1
                assert program.end() == 0
        finally:
            served.terminate()
