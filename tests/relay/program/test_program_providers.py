"""What webhooks say and how texts leave: the simulator's providers on one side, the program's on the other.

Whatever JSON a webhook holds, reading it raises nothing and invents no message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.relay.program.evolution import Evolution
from relaysim.relay.program.json_body import DEPTH_MAX, UnreadableBody, read_json
from relaysim.relay.program.provider import Denied, Provider, Reading, Sent
from relaysim.relay.program.sending import parts_of
from relaysim.relay.program.whatsapp import WhatsApp
from relaysim.sim import providers as sim
from relaysim.sim.providers import Attempt, CustomerMessage, HttpRequest, HttpResponse, Text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip)
CONVERSATIONS = st.integers(1, 100_000).map("c{}".format)


def whatsapp(**changed: Any) -> tuple[sim.WhatsApp, WhatsApp]:
    """Both sides of it."""
    there = sim.WhatsApp(**changed)
    here = WhatsApp(
        phone_number_id=there.phone_number_id,
        access_token="t",
        app_secret=there.secret,
        verify_token=there.verify_token,
        api_url="https://graph.facebook.com/v26.0",
    )
    return there, here


def evolution(**changed: Any) -> tuple[sim.Evolution, Evolution]:
    """Both sides of it."""
    there = sim.Evolution(**changed)
    here = Evolution(
        instance=there.instance, api_url="http://evolution-api:8080", api_key=there.secret, webhook_secret=there.secret
    )
    return there, here


def taken(here: Provider, request: HttpRequest) -> Reading | Denied:
    """A webhook as the intake takes it."""
    content = read_json(request.body)
    denied = here.denies_unread(request.headers, request.body) or here.denies(request.headers, content)
    return denied or here.read(content)


@given(
    TEXTS,
    CONVERSATIONS,
    st.sampled_from([whatsapp(), whatsapp(usernames=True), evolution(), evolution(lid_share=1.0)]),
    st.floats(1.7e9, 1.8e9),
)
def test_a_message_comes_as_it_was_written_and_its_answer_goes_back_to_its_author(
    text: str, conversation: str, both: Any, at: float
) -> None:
    there, here = both
    told = CustomerMessage(f"{conversation}.m1", conversation, text, at, 1)
    reading = taken(here, there.webhook([told], Attempt()))
    assert isinstance(reading, Reading)
    (message,) = reading.messages
    assert (message.id, message.text, message.thread_id) == (there.message_id(told.id), text, None)
    assert message.sent_at == int(at)
    request = here.request(message.conversation, "Answer")
    body = json.dumps(request.content).encode()
    headers = {"content-type": "application/json", **request.headers}
    read = there.read(HttpRequest("POST", request.url, headers, body))
    assert read == Text(conversation, "Answer")
    answer = there.sent(read, 1, at)
    assert here.judge(answer.status, json.loads(answer.body)) is Sent.TAKEN
    refusals = [there.not_sent(), *([there.limited(6.0)] if there.sending_limit else [])]
    for refusal in refusals:
        assert here.judge(refusal.status, json.loads(refusal.body)) is Sent.NOT_TAKEN


@pytest.mark.parametrize("both", [whatsapp(), evolution()], ids=["whatsapp", "evolution"])
@pytest.mark.parametrize(
    ("status", "content", "sent"),
    [
        (200, None, Sent.UNKNOWN),
        (200, {}, Sent.UNKNOWN),
        (200, {"messages": [], "key": {}}, Sent.UNKNOWN),
        (202, [1], Sent.UNKNOWN),
        (302, None, Sent.NOT_TAKEN),
        (400, None, Sent.NOT_TAKEN),
        (401, None, Sent.NOT_TAKEN),
        (408, None, Sent.UNKNOWN),
        (429, None, Sent.NOT_TAKEN),
        (500, {"error": {"code": 131009}}, Sent.UNKNOWN),
        (500, {"error": "x", "response": 7}, Sent.UNKNOWN),
        (502, None, Sent.UNKNOWN),
        (504, "html", Sent.UNKNOWN),
    ],
)
def test_only_what_is_surely_not_sent_counts_so(both: Any, status: int, content: Any, sent: Sent) -> None:
    assert both[1].judge(status, content) is sent


@given(JSON)
def test_no_content_is_too_odd_to_be_read(content: Any) -> None:
    """At every place of a webhook."""
    for _, here in (whatsapp(), evolution()):
        for each in _with_inside(content):
            reading = here.read(each)
            assert reading.messages == []


def _with_inside(content: Any) -> list[dict[str, Any]]:
    """Webhooks that have this in each of their places in turn."""
    metadata = {"phone_number_id": "106540352242922"}
    message = {"id": "wamid.1", "from": "5511990000001", "type": "text"}
    values: list[Any] = [
        content,
        {"metadata": metadata, "messages": content, "statuses": content},
        {"metadata": metadata, "messages": [content], "contacts": content},
        {"metadata": metadata, "messages": [{**message, "text": content, "timestamp": content}], "contacts": [content]},
        {"metadata": metadata, "messages": [{**message, "type": content}]},
        {"metadata": content, "messages": [{**message, "text": {"body": "Hello"}}]},
    ]
    changes: list[Any] = [content, [content], *([{"field": "messages", "value": value}] for value in values)]
    whole: list[Any] = [{"entry": content}, *({"entry": [{"changes": change}]} for change in changes)]
    upsert = {"event": "messages.upsert", "instance": "relaysim"}
    key = {"remoteJid": "5511990000001@s.whatsapp.net", "fromMe": False, "id": "A1"}
    whole += [
        {"event": content},
        {**upsert, "data": content},
        {**upsert, "data": {"key": content, "message": {"conversation": "Hello"}}},
        {**upsert, "data": {"key": key, "message": content}},
        {**upsert, "instance": content, "data": {"key": key, "message": {"conversation": "Hello"}}},
    ]
    return whole


def _value(number: str, *messages: Any) -> dict[str, Any]:
    return {"field": "messages", "value": {"metadata": {"phone_number_id": number}, "messages": [*messages]}}


def _text(identifier: str, sender: str = "5511990000001", **more: Any) -> dict[str, Any]:
    return {"id": identifier, "from": sender, "type": "text", "text": {"body": f"Words of {identifier}"}, **more}


def test_entries_changes_and_messages_are_read_in_their_order_and_other_numbers_left_alone() -> None:
    _, here = whatsapp()
    mine = "106540352242922"
    content = {
        "entry": [
            {"changes": [_value(mine, _text("1"), _text("2", "5511990000002")), _value("999", _text("3"))]},
            {"changes": [{"field": "account_update", "value": {}}, _value(mine, _text("4"))]},
            {"changes": [_value(mine, {"id": "5", "from": "5511990000001", "type": "audio", "audio": {"id": "x"}})]},
            {"changes": [_value(mine, {"id": "6", "type": "text", "text": {"body": "from nobody"}}, _text("a b"))]},
        ]
    }
    reading = here.read(content)
    assert [(each.id, each.conversation) for each in reading.messages] == [
        ("1", "5511990000001"),
        ("2", "5511990000002"),
        ("4", "5511990000001"),
    ]
    assert reading.others == {"not_ours": 1, "status": 1, "not_text": 1, "unreadable": 2}


def test_buttons_rows_and_captions_are_words() -> None:
    _, here = whatsapp()
    said = [
        {"type": "button", "button": {"text": "Yes"}},
        {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"title": "No"}}},
        {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"title": "Third"}}},
        {"type": "image", "image": {"caption": "This one"}},
    ]
    messages = [{"id": str(number), "from": "5511", **each} for number, each in enumerate(said)]
    reading = here.read({"entry": [{"changes": [_value("106540352242922", *messages)]}]})
    assert [each.text for each in reading.messages] == ["Yes", "No", "Third", "This one"]


def test_own_texts_groups_devices_and_other_instances_of_evolution() -> None:
    _, here = evolution()

    def read(instance: str = "relaysim", **key: Any) -> Reading:
        whole = {"remoteJid": "5511990000001@s.whatsapp.net", "fromMe": False, "id": "A1", **key}
        data = {"key": whole, "message": {"extendedTextMessage": {"text": "Hello"}}, "messageTimestamp": 1_760_000_000}
        return here.read({"event": "MESSAGES_UPSERT", "instance": instance, "data": data})

    assert read().messages[0].conversation == "5511990000001"
    assert read(remoteJid="5511990000001:7@s.whatsapp.net").messages[0].conversation == "5511990000001"
    assert read(remoteJid="77@lid").messages[0].conversation == "77@lid"
    by_both = read(remoteJid="77@lid", remoteJidAlt="5511990000001@s.whatsapp.net")
    assert by_both.messages[0].conversation == "5511990000001"
    assert read(fromMe=True).others == {"own": 1}
    assert read(remoteJid="123-456@g.us").others == {"not_ours": 1}
    assert read(remoteJid="status@broadcast").others == {"not_ours": 1}
    assert read("another").others == {"not_ours": 1}


def test_a_signature_is_of_the_bytes() -> None:
    there, here = whatsapp()
    request = there.webhook([CustomerMessage("c1.m1", "c1", "é 🙏", 1.7e9, 1)], Attempt())
    assert here.denies_unread(request.headers, request.body) is None
    again = json.dumps(json.loads(request.body), ensure_ascii=False).encode()
    assert here.denies_unread(request.headers, again) == Denied(403, "wrong_signature")
    own = "sha256=" + hmac.new(there.secret.encode(), again, hashlib.sha256).hexdigest().upper()
    assert here.denies_unread({"x-hub-signature-256": own.replace("SHA256", "sha256")}, again) is None
    for given_signature in ("", "sha256=", "sha1=" + "0" * 40, "sha256=" + "g" * 64, "sha256=é", "0" * 64):
        denied = here.denies_unread({"x-hub-signature-256": given_signature}, request.body)
        assert denied is not None
        assert denied.status == (401 if given_signature == "" else 403)


def test_the_apikey_of_evolution_comes_in_the_body_or_in_a_header() -> None:
    there, here = evolution()
    request = there.webhook([CustomerMessage("c1.m1", "c1", "Hello", 1.7e9, 1)], Attempt())
    content = json.loads(request.body)
    without = {name: value for name, value in content.items() if name != "apikey"}
    assert here.denies({}, content) is None
    assert here.denies({}, without) == Denied(401, "no_secret")
    assert here.denies({}, {**content, "apikey": "é"}) == Denied(403, "wrong_secret")
    for headers in ({"apikey": there.secret}, {"authorization": f"Bearer {there.secret}"}):
        assert here.denies_unread(headers, b"") is None
        assert here.denies(headers, without) is None
    assert here.denies_unread({"apikey": "wrong"}, b"") == Denied(403, "wrong_secret")
    assert here.denies_unread({"authorization": "Bearer wrong"}, b"") == Denied(403, "wrong_secret")


def test_only_the_right_verification_gets_its_challenge() -> None:
    there, here = whatsapp()
    request = there.verification()
    query = dict(parse_qsl(urlsplit(request.url).query))
    challenge = here.challenge(query)
    assert challenge is not None
    assert there.is_verified(HttpResponse(200, {}, challenge.encode()))
    assert here.challenge({**query, "hub.verify_token": "wrong"}) is None
    assert here.challenge({**query, "hub.mode": "unsubscribe"}) is None
    assert here.challenge({**query, "hub.challenge": "<script>"}) is None
    assert here.challenge({}) is None


@given(st.text(alphabet="ab \n", max_size=60), st.integers(3, 12))
def test_parts_hold_all_words_in_their_order_and_none_is_too_long(text: str, length_max: int) -> None:
    parts = parts_of(text, length_max)
    assert all(len(part) <= length_max for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert parts_of(text, None) == [text]


def test_parts_end_with_paragraphs_lines_or_words_where_they_can() -> None:
    assert parts_of("one two\n\nthree four", 12) == ["one two", "three four"]
    assert parts_of("one two three", 8) == ["one two", "three"]
    assert parts_of("onetwothree", 4) == ["onet", "woth", "ree"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b'{"a": \xff}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"a": ' * 5_000 + b"1" + b"}" * 5_000,
        b"[" * 1_000_000,
        b'{"a": "' + b"[" * 100 + b'", "b": ' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}",
    ],
    ids=range(10),
)
def test_what_is_no_json_object_or_too_deep_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read_json(body)


def test_brackets_in_texts_are_no_depth() -> None:
    text = '[{\\"' * 1_000
    assert read_json(json.dumps({"a": text, "b": [[]] * 1_000}).encode()) == {"a": text, "b": [[]] * 1_000}
