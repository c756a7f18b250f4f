"""Django in one file. The view answers before it returns, and looks at nothing that came before."""

import json

import django
from django.conf import settings

settings.configure(SECRET_KEY="secret", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from thread_per_message import answer  # noqa: E402


@csrf_exempt
def webhook(request: HttpRequest) -> JsonResponse:
    for entry in json.loads(request.body)["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                answer(message["from"], message["text"]["body"])
    return JsonResponse({"status": "ok"})


urlpatterns = [path("webhook", webhook)]
app = ASGIHandler()
