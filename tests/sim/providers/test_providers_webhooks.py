"""Goal: a webhook is what the provider's documentation says, so that a bot's own check of signatures takes it, and the bot
reads the customer's words from it.

Method: Hypothesis writes texts; signatures are verified by an HMAC that is written out here; bodies are read as bots do it.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaysim.sim.providers import (
    PROVIDERS,
    Attempt,
    Custom,
    CustomerMessage,
    Evolution,
    HttpRequest,
    HttpResponse,
    Provider,
    Slack,
    Telegram,
    Text,
    Twilio,
    WhatsApp,
)
from relaysim.sim.providers.provider import display_name
from relaysim.sim.providers.reference import reference

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
MESSAGES = st.builds(
    CustomerMessage,
    id=st.from_regex(r"c[1-9]\d?\.m[1-9]\d?", fullmatch=True),
    conversation=st.integers(1, 100_000).map("c{}".format),
    text=TEXTS,
    sent_at=st.floats(1.7e9, 1.8e9),
    number=st.integers(1, 10**6),
)
HELLO = CustomerMessage("c7.m1", "c7", 'Olá! 🙏 <b> & "x"', 1_760_000_000.25, 3)


def hmac_of(name: str, key: str, data: bytes) -> bytes:
    """RFC 2104, for keys that are shorter than a block of the hash."""
    block = {"sha1": 64, "sha256": 64, "sha512": 128}[name]
    padded = key.encode().ljust(block, b"\0")
    inner = hashlib.new(name, bytes(each ^ 0x36 for each in padded) + data).digest()
    return hashlib.new(name, bytes(each ^ 0x5C for each in padded) + inner).digest()


@settings(max_examples=30)
@given(st.lists(MESSAGES, min_size=1, max_size=3), st.booleans())
def test_whatsapp_is_signed_over_the_very_bytes_and_carries_all_messages(
    messages: list[CustomerMessage], usernames: bool
) -> None:
    provider = WhatsApp(secret="app secret", usernames=usernames)
    request = provider.webhook(messages, Attempt())
    assert request.body.isascii()  # so a body that is written anew is another one
    assert request.headers["x-hub-signature-256"] == "sha256=" + hmac_of("sha256", "app secret", request.body).hex()
    content = json.loads(request.body)
    (value,) = [change["value"] for entry in content["entry"] for change in entry["changes"]]
    assert [each["text"]["body"] for each in value["messages"]] == [each.text for each in messages]
    assert [each["timestamp"] for each in value["messages"]] == [str(int(each.sent_at)) for each in messages]
    for each in value["messages"]:
        assert ("from" in each) is not usernames
    (contact,) = value["contacts"]
    key = contact["user_id"] if usernames else contact["wa_id"]
    assert provider.conversation(key) == messages[0].conversation
    assert provider.webhook(messages, Attempt(2, "timeout", 1e9)) == request


@settings(max_examples=30)
@given(MESSAGES, st.sampled_from(["whatsapp", "sms"]))
def test_twilio_is_signed_over_the_address_and_the_sorted_fields(message: CustomerMessage, channel: Any) -> None:
    provider = Twilio(secret="auth", channel=channel, path="/in?tenant=1")
    request = provider.webhook([message], Attempt())
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    signed = "https://bot.example.com/in?tenant=1" + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    expected = b64encode(hmac_of("sha1", "auth", signed.encode())).decode()
    assert request.headers["x-twilio-signature"] == expected
    assert fields["Body"] == message.text
    assert provider.conversation(fields["From"]) == message.conversation
    assert fields["From"].startswith("whatsapp:+" if channel == "whatsapp" else "+")
    assert fields["MessageSid"] == provider.message_id(message.id)
    assert provider.webhook([message], Attempt(1, "unreachable", 1e9)) == request


@settings(max_examples=30)
@given(MESSAGES, st.sampled_from([0.0, 1.0]))
def test_evolution_names_one_person_in_two_ways(message: CustomerMessage, lid_share: float) -> None:
    provider = Evolution(lid_share=lid_share)
    data = json.loads(provider.webhook([message], Attempt()).body)["data"]
    key = data["key"]
    assert data["message"]["conversation"] == message.text
    assert key["remoteJid"].endswith("@lid" if lid_share else "@s.whatsapp.net")
    for name in ("remoteJid", "remoteJidAlt"):
        if name in key:
            assert provider.conversation(key[name]) == message.conversation
    assert ("remoteJidAlt" in key) is bool(lid_share)
    assert key["fromMe"] is False


@settings(max_examples=30)
@given(MESSAGES)
def test_telegram_counts_updates_and_brings_the_secret_along(message: CustomerMessage) -> None:
    provider = Telegram(secret="s3cret")
    request = provider.webhook([message], Attempt())
    update = json.loads(request.body)
    assert request.headers["x-telegram-bot-api-secret-token"] == "s3cret"
    assert update["message"]["text"] == message.text
    assert provider.conversation(str(update["message"]["chat"]["id"])) == message.conversation
    later = json.loads(provider.webhook([message._replace(number=message.number + 1)], Attempt()).body)
    assert later["update_id"] == update["update_id"] + 1


@settings(max_examples=30)
@given(MESSAGES, st.integers(0, 3))
def test_slack_signs_each_attempt_with_its_own_time(message: CustomerMessage, number: int) -> None:
    provider = Slack(secret="signing")
    now = 1_760_000_100.9 + 60 * number
    request = provider.webhook([message], Attempt(number, "timeout" if number else None, now))
    headers = request.headers
    signed = b"v0:" + headers["x-slack-request-timestamp"].encode() + b":" + request.body
    assert headers["x-slack-signature"] == "v0=" + hmac_of("sha256", "signing", signed).hex()
    assert headers["x-slack-request-timestamp"] == str(int(now))
    assert headers.get("x-slack-retry-num") == (str(number) if number else None)
    assert headers.get("x-slack-retry-reason") == ("http_timeout" if number else None)
    content = json.loads(request.body)
    assert content["event"]["text"] == message.text
    assert provider.conversation(content["event"]["channel"]) == message.conversation
    assert content["event_id"] == provider.message_id(message.id)


@settings(max_examples=30)
@given(MESSAGES, st.sampled_from(["sha1", "sha256", "sha512"]))
def test_a_custom_body_is_signed_and_filled_as_its_tables_say(message: CustomerMessage, name: Any) -> None:
    provider = Custom(
        secret="mine",
        signature=name,
        body={"message": {"id": "{id}", "who": ["{address}"], "text": "{text}"}, "v": 2},
        headers={"X-Signed": name + "={signature}", "X-Key": "{secret}"},
    )
    request = provider.webhook([message], Attempt())
    content = json.loads(request.body)
    assert content["message"]["text"] == message.text
    assert content["v"] == 2
    assert provider.conversation(content["message"]["who"][0]) == message.conversation
    assert request.headers["x-signed"] == f"{name}={hmac_of(name, 'mine', request.body).hex()}"
    assert request.headers["x-key"] == "mine"


@pytest.mark.parametrize("kind", PROVIDERS)
def test_another_message_has_another_id_and_a_conversation_one_address(kind: type[Provider]) -> None:
    provider = kind()
    one, two = (provider.webhook([HELLO._replace(id=each)], Attempt()).body for each in ("c7.m1", "c7.m2"))
    if kind is not Telegram:  # whose ids are the numbers of messages
        assert one != two
    addresses = {provider.address(f"c{number}") for number in range(1, 200)}
    assert len(addresses) == 199
    assert {provider.conversation(each) for each in addresses} == {f"c{number}" for number in range(1, 200)}


@pytest.mark.parametrize("address", ["", "c7", "0", "5511", "+1 555 010 0000", "９９", "-5", "1e9", "status@broadcast"])
@pytest.mark.parametrize("kind", PROVIDERS)
def test_an_address_that_is_nobodys_is_no_conversation(kind: type[Provider], address: str) -> None:
    assert kind().conversation(address) is None


@pytest.mark.parametrize(
    "written",
    [
        "5511990000007",
        "+5511990000007",
        "+55 (11) 99000-0007",
        "whatsapp:+5511990000007",
        "5511990000007:3@s.whatsapp.net",
    ],
)
def test_a_phone_number_is_known_however_a_bot_writes_it(written: str) -> None:
    assert WhatsApp().conversation(written) == "c7"


def test_who_verifies_an_address_takes_the_challenge_and_nothing_else() -> None:
    whatsapp, slack = WhatsApp(path="/hook?a=1"), Slack()
    asked = whatsapp.verification()
    assert (asked.method, asked.path, asked.query["a"]) == ("GET", "/hook", "1")
    challenge = asked.query["hub.challenge"].encode()
    assert whatsapp.is_verified(HttpResponse(200, {}, challenge))
    for wrong in (HttpResponse(403, {}, challenge), HttpResponse(200, {}, b"ok")):
        assert not whatsapp.is_verified(wrong)
    event = json.loads(slack.verification().body)
    assert slack.is_verified(HttpResponse(200, {}, event["challenge"].encode()))
    assert slack.is_verified(HttpResponse(200, {}, json.dumps({"challenge": event["challenge"]}).encode()))
    for body in (b"", b"[]", b"{}", b"ok"):
        assert not slack.is_verified(HttpResponse(200, {}, body))


def test_what_acknowledges_and_what_ends_the_repeats() -> None:
    statuses = (200, 201, 204, 302, 400, 404, 422, 429, 500)

    def of(provider: Provider, judged: str) -> list[int]:
        return [each for each in statuses if getattr(provider, judged)(HttpResponse(each, {}))]

    assert of(WhatsApp(), "acknowledges") == [200]
    for provider in (Twilio(), Evolution(), Telegram(), Slack(), Custom()):
        assert of(provider, "acknowledges") == [200, 201, 204]
    assert of(Custom(acknowledged_by=(202, 302)), "acknowledges") == [302]
    assert of(Evolution(), "is_final") == [400, 404, 422]
    assert of(Custom(final_statuses=(404,)), "is_final") == [404]
    assert Slack().is_final(HttpResponse(500, {"x-slack-no-retry": "1"}))
    assert not Slack().is_final(HttpResponse(500, {}))


def test_repeats_come_in_their_order_and_have_an_end() -> None:
    assert [Slack().repeats("timeout", number, 0.5) for number in range(4)] == [0.0, 60.0, 300.0, None]
    assert Twilio().repeats("unreachable", 0, 0.5) == 0.0
    for failure in ("timeout", "status", "broken"):
        assert Twilio().repeats(failure, 0, 0.5) is None
    evolution = [Evolution().repeats("status", number, 0.5) for number in range(10)]
    assert evolution == [5, 10, 20, 40, 80, 160, 300, 300, 300, None]
    assert Evolution().repeats("status", 0, 0.0) == 4.0
    assert Evolution().repeats("status", 0, 1.0) == 6.0
    week = WhatsApp().repeat_seconds
    assert week[:4] == (0.0, 60.0, 120.0, 240.0)
    assert 6.8 * 86_400 < sum(week) <= 7 * 86_400
    assert 86_300 < sum(Telegram().repeat_seconds) <= 86_400


def test_a_response_can_be_the_answer() -> None:
    two = b"<Message>Ol\xc3\xa1 &amp; <!-- x -->bye</Message><Message><Body>two</Body></Message>"
    xml = b'<?xml version="1.0"?><Response>' + two + b"</Response>"

    def twilio(kind: str, body: bytes) -> list[str]:
        return [each.text for each in Twilio().replies(HttpResponse(200, {"content-type": kind}, body), HELLO)]

    assert twilio("text/xml; charset=utf-8", xml) == ["Olá & bye", "two"]
    assert twilio("application/xml", b"<Response><Message>Hi &amp; bye</Message></Response>") == ["Hi & bye"]
    assert twilio("text/plain", b"Hi") == ["Hi"]
    for kind, body in (
        ("text/html", b"OK"),
        ("application/json", b'"OK"'),
        ("text/xml", b"<Response/>"),
        ("text/plain", b" "),
        ("text/xml", b"<a><Message>x</Message></a>"),
    ):
        assert twilio(kind, body) == []
    telegram = Telegram()
    call = {"method": "sendMessage", "chat_id": int(telegram.address("c7")), "text": "Hi"}
    for content, texts in ((call, ["Hi"]), ({**call, "method": "sendChatAction"}, []), ({"ok": True}, []), ([], [])):
        response = HttpResponse(200, {"content-type": "application/json"}, json.dumps(content).encode())
        assert [each.text for each in telegram.replies(response, HELLO)] == texts
    for other in (WhatsApp(), Evolution(), Slack(), Custom()):
        assert other.replies(HttpResponse(200, {"content-type": "text/plain"}, b"Hi"), HELLO) == ()


def test_the_environment_has_what_signs_and_what_is_sent_to() -> None:
    for kind in PROVIDERS:
        provider = kind(secret="the-secret")
        assert "the-secret" in provider.environment.values()
        assert provider.url == f"https://bot.example.com{provider.path}"
        assert isinstance(provider.webhook([HELLO], Attempt()), HttpRequest)


def test_the_page_says_what_the_modules_say() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "providers.md"
    assert page.read_text(encoding="utf-8").endswith(f"\n{reference()}"), (
        "its end is what `python -m relaysim.sim.providers.reference` prints"
    )


def test_each_row_of_what_is_known_has_its_grade() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| ") and "what | is so" not in line]
    assert len(rows) > 40
    for row in rows:
        assert set(row.rsplit("|", 2)[1].strip().partition(",")[0]) <= {"S", "C", "W", "A", " "}, row


def test_statuses_overtake_each_other_and_name_the_text() -> None:
    provider, text = WhatsApp(secret="app secret"), Text("c7", "Hi")
    told = provider.notifications(text, 4, 1.76e9)
    values = [json.loads(each.request.body)["entry"][0]["changes"][0]["value"] for each in told]
    (taken,) = json.loads(provider.sent(text, 4, 1.76e9).body)["messages"]
    assert [value["statuses"][0]["status"] for value in values] == ["delivered", "sent", "read"]
    assert {value["statuses"][0]["id"] for value in values} == {taken["id"]}
    assert all("messages" not in value for value in values)
    for each in told:
        signature = hmac_of("sha256", "app secret", each.request.body).hex()
        assert each.request.headers["x-hub-signature-256"] == f"sha256={signature}"
    assert WhatsApp(statuses=False).notifications(text, 4, 1.76e9) == ()


def test_echoes_say_whose_they_are() -> None:
    text = Text("c7", "Hi")
    (echo,) = Evolution().notifications(text, 4, 1.76e9)
    data = json.loads(echo.request.body)["data"]
    assert (data["key"]["fromMe"], data["message"]) == (True, {"conversation": "Hi"})
    assert data["key"] == json.loads(Evolution().sent(text, 4, 1.76e9).body)["key"]
    (echo,) = Slack(secret="signing").notifications(text, 4, 1.76e9)
    event = json.loads(echo.request.body)["event"]
    assert (event["text"], event["channel"]) == ("Hi", Slack().address("c7"))
    assert event["bot_id"]
    signed = b"v0:" + echo.request.headers["x-slack-request-timestamp"].encode() + b":" + echo.request.body
    assert echo.request.headers["x-slack-signature"] == "v0=" + hmac_of("sha256", "signing", signed).hex()
    for quiet in (Evolution(echoes=False), Slack(echoes=False), Twilio(), Telegram(), Custom()):
        assert quiet.notifications(text, 4, 1.76e9) == ()


def test_two_customers_have_one_name() -> None:
    """Whoever knows customers by what they call themselves takes two for one."""
    assert [display_name(f"c{number}") for number in (1, 2, 3, 4)] == [
        "Customer 1",
        "Customer 1",
        "Customer 2",
        "Customer 2",
    ]
