"""The same: the view starts a thread for what is new, and a customer's threads wait for one another."""

import json
import threading
from collections import defaultdict

import django
from django.conf import settings

settings.configure(SECRET_KEY="secret", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from thread_per_message import answer, new_messages  # noqa: E402

locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def answer_in_turn(user: str, text: str) -> None:
    with locks[user]:
        answer(user, text)


@csrf_exempt
def webhook(request: HttpRequest) -> JsonResponse:
    for message in new_messages(json.loads(request.body)):
        threading.Thread(target=answer_in_turn, args=(message["from"], message["text"]["body"])).start()
    return JsonResponse({"status": "ok"})


urlpatterns = [path("webhook", webhook)]
app = ASGIHandler()
