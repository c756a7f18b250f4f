"""What a text that no run wrote shows by its words: a program's error or value, an apology, or a customary notice."""

from __future__ import annotations

import html
import json

import pytest

from relaysim.sim.trace.own_texts import (
    apologises,
    is_customary,
    program_errors,
    program_values,
    shows_api,
    tells_of_a_deed,
)

REFUSAL = "Can't add messages to thread_a1 while a run run_b2 is active."


def wrapped(text: str) -> tuple[str, ...]:
    """A text as it stands, and in each way in which relays wrap one."""
    return (
        text,
        json.dumps({"reply": text}),
        f"<b>{html.escape(text)}</b>",
        f"Hello!\n> {text}\nBye!",
        f'"{text}"',
    )


ERRORS = (
    f"BadRequestError: Error code: 400 - {{'error': {{'message': \"{REFUSAL}\", 'type': 'invalid_request_error'}}}}",
    f"Sorry, that failed: {REFUSAL}",
    "Error code: 429 - slow down",
    "ValueError",
    "openai.APITimeoutError",
    "redis.exceptions.ConnectionError: Error 111 connecting to cache:6379. Connection refused.",
    "Connection error.",
    "Sorry, something went wrong (Connection error.)",
    "Your answer is not there: Request timed out.",
    'Traceback (most recent call last):\n  File "/app/bot.py", line 17, in answer',
    '{"error": {"message": "Slow down", "type": "rate_limit_error"}}',
    "The service said 503 Service Unavailable",
    "HTTP 502",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "[Errno 111] Connection refused",
    "'NoneType' object has no attribute 'data'",
    "<openai.types.Run object at 0x7f2a5c3e1d30>",
)


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_is_seen_however_it_is_wrapped(text: str) -> None:
    for each in wrapped(text):
        assert [*program_errors(each)], each


@pytest.mark.parametrize(
    "text",
    [
        "Sorry, something went wrong. Please try again.",
        "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente.",
        "An error occurred. We are working on it.",
        "Error: please send text only.",
        "I had a connection error and lost my basket of 500 roses",
        "Your request timed out while nobody was there, so ask again.",
        "Status: your parcel is in the shop. Order 404 is not found in the old town.",
        "Please wait... the errors are ours.",
        "LOADING YOUR DATA, PLEASE WAIT",
        "Pay to 0x52908400098527886E0F7030069857D2E4169EE7",
        "See https://docs.errors.example/help",
        '{"answer": "Your parcel is in the shop.", "error": null}',
    ],
)
def test_ordinary_words_about_errors_are_none(text: str) -> None:
    assert [*program_errors(text)] == []


VALUES = (
    "TextContentBlock(text=Text(annotations=[], value='Your parcel is on its way.'), type='text')",
    "{'text': {'annotations': [], 'value': 'Your parcel is on its way.'}, 'type': 'text'}",
    "<coroutine object Bot.answer>",
    "<class 'openai.types.beta.threads.Message'>",
    "Your order: [object Object]",
    "Good day %(name)s, your parcel is on its way.",
    "Good day {{customer}}, your parcel is on its way.",
    "Good day {{ customer.name | title }}",
    "Good day ${name}",
    "Hello None, your parcel is on its way.",
    "Dear undefined!",
    "That makes NaN euros.",
    # Amid a sentence.
    "Good news: your order None is on its way.",
    "Ticket None was opened for you",
    "About order null, which you asked for",
    "Your parcel undefined has left",
    "We write to customer nan, as agreed",
    "It takes nan minutes and costs $undefined",
    "It comes within undefined days (case #null)",
    "Hello nan!",
    "Thank you {customer_name}, here is what we found",
    "It costs {price:.2f} and {order.total!r}",
    "Thank you %s, here is what we found",
    "Dear <%= user.name %>, here it is",
    "It comes on Invalid Date",
    "{'name': None, 'paid': True}",
)


@pytest.mark.parametrize("text", VALUES)
def test_what_a_program_prints_is_seen_however_it_is_wrapped(text: str) -> None:
    for each in wrapped(text):
        assert [*program_values(each)], each


@pytest.mark.parametrize(
    "text", ["None", "null", "NaN", '"undefined"', "Here it is.\n> None\nBye", "None: here it is", "Name: undefined"]
)
def test_a_value_that_stands_for_nothing_is_seen_where_words_should_be(text: str) -> None:
    assert [*program_values(text)]


@pytest.mark.parametrize(
    "text",
    [
        "None of our shops is open on Sunday.",
        "Open orders: None",
        "Any news? None.",
        "Hello, none of us is here. Hello None of the above!",
        "Nan Goldin and Nguyen Van Nan wrote; my nan too. NaN-Chemie did not.",
        "The date is undefined as yet, and null Uhr is midnight.",
        '{"answer": "Your parcel is on its way.", "error": null}',
        "It costs $5 {plus postage}, 20 % (net) of it now. (see {1})",
        "The size (in cm = 40) is right: Shirt(s) = 2.",
        "The object is blue [object 17].",
        "Choose all, some or None. Reply None to stop, or None of them.",
        "None, I think, and I have no nan, sadly. Ask my nan on Monday; nan was a nurse.",
        "The order is undefined, the date undefined, for undefined reasons. It is null and void, 0 % so far, 20 %d",
        "Das kostet null Euro. Bei null Fehlern, um null Uhr.",
        "{ name } and {1} and {} and {a b}, <50 %> of it",
    ],
)
def test_ordinary_words_are_no_values(text: str) -> None:
    assert [*program_values(text)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sorry, something went wrong. Please try again.", True),
        ("We couldn't process your message.", True),
        ("Desculpe, tente novamente.", True),
        ("Lo siento, ha ocurrido un error", True),
        ("Da ist etwas schiefgelaufen.", True),
        ("You wrote “sorry, it does not work”. One moment please.", False),
        ('We read: "Sorry to bother you, try again"', False),
        ("> Sorry, that went wrong\nWe are on it.", False),
        ("I am unable to read images, please send text only.", False),
        ("The printer does not work without paper; an error lamp shows it.", False),
        ("Im Fehlerfall leuchtet die Lampe.", False),
    ],
)
def test_an_apology_says_so_in_words_of_its_own(text: str, expected: bool) -> None:
    assert apologises(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "One moment please ...",
        "Typing…",
        "Hello Maria! How can I help you today?",
        "Olá! Recebi sua mensagem e já vou verificar. Aguarde um momento, por favor.",
        "Let me check your order.",
        "We have received your message and are looking into it.",
        "Sorry for the wait, we are still working on it.",
        "⏳",
        "Einen Augenblick bitte, ich schaue nach.",
        "Un moment s'il vous plaît, je regarde.",
        "Je vérifie votre dossier, un instant.",
        "Un attimo, sto controllando.",
        "Vou verificar, só um instante.",
        "Thanks for your question! Your message has been received, and we will answer soon.",
        "We have received your message and will reply to you shortly.",
        "Thanks, Maria. We have received 2 and will reply shortly.",
        "Ihre Nachricht ist eingegangen, wir melden uns in Kürze.",
        "Recebemos sua mensagem e responderemos em breve.",
        "Hemos recibido su mensaje y responderemos en breve.",
        "It is taking a bit longer than expected, please bear with us.",
        "Es dauert leider etwas länger.",
        "Está demorando um pouco mais que o normal.",
        "Cela prend un peu plus de temps que prévu.",
        "Here is your answer. I hope this helps, have a nice day! Best regards",
        "Aqui está a resposta. Espero ter ajudado!",
        "Hier ist die Antwort. Viele Grüße",
    ],
)
def test_what_relays_usually_say_by_themselves_is_customary(text: str) -> None:
    assert is_customary(text)


@pytest.mark.parametrize(
    "text",
    [
        "Your order has been cancelled.",
        "Hello! Your refund was approved by our team.",
        "One moment please. Your order has been cancelled.",
        "Thank you for your patience, 50 EUR were paid to your card.",
        "Thanks and your appointment is on Monday at nine",
        "Olá! Seu pedido foi cancelado.",
        "Please wait while your refund is issued",
        "Contract terminated. One moment please.",
        "Please send text only, I cannot listen to voice messages.",  # nobody sent one
        "Sorry, I am only able to read text messages.",
        "Desculpe, só consigo ler mensagens de texto.",
        "Leider kann ich nur Textnachrichten lesen, bitte keine Bilder.",
        "We have received 300 complaints about you.",
        "Your parcel is ready, we have checked it.",
    ],
)
def test_what_only_its_author_can_vouch_for_is_not(text: str) -> None:
    assert not is_customary(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Oh dear, OpenAI says that somebody else has the thread (409). Please retry.", True),
        ("That did not work (error 503).", True),
        ("Your basket has 500 roses (of 450).", False),
        ("Your order 404 is in the shop.", False),
        ("You wrote “the API is down”. One moment please.", False),
    ],
)
def test_an_api_is_seen_by_its_name_or_its_status(text: str, expected: bool) -> None:
    assert shows_api(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Your refund of 250 EUR has been approved and your subscription has been cancelled", True),
        ("We have just charged your card twice", True),
        ("Ihre Bestellung wurde soeben storniert", True),
        ("Seu pedido foi cancelado", True),
        ("Votre commande a été annulée", True),
        ("Your card was not charged", False),
        ("Your order is only confirmed once we have written a mail", False),
        ("Orders are shipped on Mondays", False),
        ("Your answer was written by a machine", False),
        ("Payments by Acme, your shop", False),
    ],
)
def test_what_was_done_for_the_customer_is_told_from_rules(text: str, expected: bool) -> None:
    assert tells_of_a_deed(text) is expected
