"""Goal: what a bot sends reaches its customer word for word, and what a provider refuses it refuses as documented."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaysim.sim.providers import (
    PROVIDERS,
    Allowance,
    Custom,
    Done,
    Evolution,
    HttpRequest,
    Limit,
    Provider,
    Slack,
    Telegram,
    Text,
    Twilio,
    WhatsApp,
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="&\0"), min_size=1, max_size=60)
JSON = {"content-type": "application/json", "authorization": "Bearer x", "apikey": "x"}
FORM = {"content-type": "application/x-www-form-urlencoded", "authorization": "Basic x"}


def as_json(url: str, content: Any, **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, {**JSON, **headers}, json.dumps(content).encode())


def as_form(url: str, content: dict[str, str]) -> HttpRequest:
    return HttpRequest("POST", url, FORM, urlencode(content).encode())


WHATSAPP = "https://graph.facebook.com/v21.0/106540352242922/messages"
TWILIO = f"https://api.twilio.com/2010-04-01/Accounts/{Twilio().account_sid}/Messages.json"
TELEGRAM = f"https://api.telegram.org/bot{Telegram().token}/sendMessage"


def requests(provider: Provider, to: str, text: str) -> list[HttpRequest]:
    """A text to an address, in the forms that clients of this provider use."""
    if isinstance(provider, WhatsApp):
        base = {"messaging_product": "whatsapp", "to": to}
        return [
            as_json(WHATSAPP, {**base, "type": "text", "text": {"body": text}}),
            as_json(WHATSAPP, {**base, "text": {"body": text}, "recipient_type": "individual"}),
            as_json(
                WHATSAPP, {**base, "type": "interactive", "interactive": {"type": "button", "body": {"text": text}}}
            ),
        ]
    if isinstance(provider, Twilio):
        return [as_form(TWILIO, {"To": to, "From": "whatsapp:+14155238886", "Body": text})]
    if isinstance(provider, Evolution):
        url = "http://evolution-api:8080/message/sendText/relaysim"
        return [
            as_json(url, {"number": to, "text": text}),
            as_json(url, {"number": to + "@s.whatsapp.net", "textMessage": {"text": text}}),
        ]
    if isinstance(provider, Telegram):
        return [
            as_json(TELEGRAM, {"chat_id": int(to), "text": text}),
            as_form(TELEGRAM.replace("sendMessage", "sendmessage"), {"chat_id": to, "text": text}),
        ]
    if isinstance(provider, Slack):
        url = "https://slack.com/api/chat.postMessage"
        form = HttpRequest(
            "POST", url, {**FORM, "authorization": "Bearer x"}, urlencode({"channel": to, "text": text}).encode()
        )
        return [as_json(url, {"channel": to, "text": text}), form]
    return [as_json("https://channel.example.com/messages", {"to": to, "text": text})]


@pytest.mark.parametrize("kind", PROVIDERS)
@settings(max_examples=20)
@given(TEXTS.filter(str.strip), st.integers(1, 100_000))
def test_a_text_reaches_whom_it_is_for_with_its_words(kind: type[Provider], text: str, number: int) -> None:
    provider = kind()
    for request in requests(provider, provider.address(f"c{number}"), text):
        assert provider.read(request) == Text(f"c{number}", text)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_text_to_nobody_or_of_nothing_is_refused(kind: type[Provider]) -> None:
    provider = kind()
    for to, text in ((provider.address("c1")[:-3], "Hi"), (provider.address("c1"), "")):
        for request in requests(provider, to, text):
            answer = provider.read(request)
            assert isinstance(answer, Done), request
            refused = json.loads(answer.response.body)
            assert answer.response.status >= 400 or refused["ok"] is False


@pytest.mark.parametrize(
    ("provider", "longest"), [(WhatsApp(), 4096), (Twilio(), 1600), (Telegram(), 4096), (Slack(), 40_000)]
)
def test_a_text_may_be_so_long_and_no_longer(provider: Provider, longest: int) -> None:
    to = provider.address("c1")
    assert provider.read(requests(provider, to, "x" * longest)[0]) == Text("c1", "x" * longest)
    assert isinstance(provider.read(requests(provider, to, "x" * (longest + 1))[0]), Done)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_each_text_that_was_taken_has_an_id_of_its_own(kind: type[Provider]) -> None:
    provider = kind()
    one, two, other = (
        provider.sent(Text(*each), number, 1.76e9)
        for each, number in ((("c1", "a"), 1), (("c1", "a"), 2), (("c2", "a"), 3))
    )
    assert len({one.body, two.body, other.body}) == 3
    assert 200 <= one.status < 300
    assert provider.sent(Text("c1", "a"), 1, 1.76e9) == one
    assert provider.not_sent().status >= 500


def test_marks_and_typing_send_nothing_and_are_taken() -> None:
    message = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    typing = as_json(WHATSAPP, {**message, "typing_indicator": {"type": "text"}})
    evolution = "http://evolution-api:8080/chat/sendPresence/relaysim"
    quiet: list[tuple[Provider, HttpRequest]] = [
        (WhatsApp(), as_json(WHATSAPP, message)),
        (WhatsApp(), typing),
        (Evolution(), as_json(evolution, {"number": "1", "presence": "composing"})),
        (Evolution(), as_json(evolution.replace("sendPresence", "markMessageAsRead"), {"readMessages": []})),
        (Telegram(), as_json(TELEGRAM.replace("sendMessage", "sendChatAction"), {"chat_id": 1, "action": "typing"})),
        (Telegram(), HttpRequest("GET", TELEGRAM.replace("sendMessage", "getMe"), {})),
        (Slack(), as_json("https://slack.com/api/assistant.threads.setStatus", {"status": "is typing..."})),
        (Slack(), as_form("https://slack.com/api/auth.test", {"token": "xoxb-x"})),
        (Twilio(), as_form("https://api.twilio.com/v2/Indicators/Typing.json", {"messageId": "SM1"})),
    ]
    for provider, request in quiet:
        answer = provider.read(request)
        assert isinstance(answer, Done), request
        assert 200 <= answer.response.status < 300, answer
        assert b'"ok":false' not in answer.response.body


def test_who_brings_no_key_is_not_let_in() -> None:
    for kind, status in ((WhatsApp, 401), (Twilio, 401), (Evolution, 401), (Slack, 200)):
        provider: Provider = kind()
        request = requests(provider, provider.address("c1"), "Hi")[0]
        bare = request._replace(headers={"content-type": request.headers["content-type"]})
        answer = provider.read(bare)
        assert isinstance(answer, Done)
        assert answer.response.status == status
    refused = Telegram().read(as_json("https://api.telegram.org/bot1:other/sendMessage", {"chat_id": 1, "text": "x"}))
    assert isinstance(refused, Done)
    assert refused.response.status == 401


def test_what_is_not_there_is_an_error_of_the_providers() -> None:
    for kind in PROVIDERS:
        provider = kind()
        (host, *_) = provider.sending_hosts
        for request in (as_json(f"https://{host}/v1/elsewhere", {}), HttpRequest("GET", f"https://{host}/", JSON)):
            answer = provider.read(request)
            assert isinstance(answer, Done)
            assert answer.response.status >= 400


def test_a_limit_says_how_long_to_wait() -> None:
    assert json.loads(WhatsApp().limited(6.0).body)["error"]["code"] == 131056
    assert WhatsApp().limited(6.0).status == 400
    assert json.loads(Telegram().limited(0.4).body)["parameters"] == {"retry_after": 1}
    assert Slack().limited(0.4).headers["retry-after"] == "1"
    custom = Custom(seconds_between_texts=6, texts_at_once=3)
    assert custom.sending_limit == Limit(6.0, 3)
    assert custom.limited(6.0).status == 429
    assert Custom().sending_limit is None
    with pytest.raises(NotImplementedError):
        Evolution().limited(1.0)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 30), max_size=20), st.integers(1, 5), st.floats(0.5, 10))
def test_never_more_texts_than_the_limit_allows(gaps: list[float], burst: int, seconds: float) -> None:
    """In any span of time at most the burst, and one for each of the limit's seconds; who waits as told is let in."""
    allowance, now, taken = Allowance(Limit(seconds, burst)), 0.0, []
    for gap in gaps:
        now += gap
        assert allowance.wait("other", now) == 0.0 or gap < seconds
        wait = allowance.wait("c1", now)
        if wait:
            now += wait
            assert allowance.wait("c1", now) == 0.0
        taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - begin) / seconds + 1e-6


def test_a_form_in_parts_is_read() -> None:
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (("chat_id", Telegram().address("c3")), ("text", "Olá"))
    )
    kind = "multipart/form-data; boundary=b"
    request = HttpRequest("POST", TELEGRAM, {"content-type": kind}, f"{parts}--b--\r\n".encode())
    assert Telegram().read(request) == Text("c3", "Olá")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"path": "webhook"}, "begins with /"),
        ({"repeat_seconds": [-1]}, "0 to 604800"),
        ({"body": {"a": "{txt}"}}, "{txt} stands for nothing"),
        ({"headers": {"a b": "x"}}, "is no header"),
        ({"headers": {"a": "{text}"}}, "{text} stands for nothing"),
        ({"encoding": "form", "body": {"a": {"b": "{text}"}}}, "fields are texts and numbers"),
    ],
)
def test_a_custom_table_that_makes_no_sense_is_refused(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Custom.model_validate(table)
