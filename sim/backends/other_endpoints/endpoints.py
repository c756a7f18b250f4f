"""The endpoints beside the conversation API, of one world."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from relaysim.sim.backends.calls import Answer, Call
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.other_endpoints import audio, fixed_answers
from relaysim.sim.backends.other_endpoints.chat import Completion, stream_of
from relaysim.sim.backends.other_endpoints.embeddings import create_embeddings
from relaysim.sim.backends.other_endpoints.routes import OtherCall
from relaysim.sim.backends.other_endpoints.settings import ECHOING, OtherEndpointsSettings
from relaysim.sim.backends.other_endpoints.stored_files import StoredFiles
from relaysim.sim.backends.profile import Profile
from relaysim.sim.kernel import Kernel

SAID_MAX: Final = 10_000
"""Texts that are kept; a world has fewer."""

Execute = Callable[[Call, str], Answer]


class OtherEndpoints:
    """Answers the calls of one world that are not for its conversation API. Nothing in it waits.

    Ids count the calls that made them, so a world's are a function of the order in which its requests arrive. Trace records
    are the doors' alone: what these endpoints are told is in no conversation.

    Args:
        kernel: ids come from its draws, and pieces of streams are its events.
        profile: how long generating takes unless the script says it, and how much of it passes before a stream's first
            words.
        now: seconds since the Unix epoch.
        settings: the script.

    Attributes:
        said: the newest texts of completions, which are in no conversation and in no trace.
    """

    def __init__(
        self, kernel: Kernel, profile: Profile, now: Callable[[], float], settings: OtherEndpointsSettings = ECHOING
    ) -> None:
        self._kernel, self._now = kernel, now
        self._first_fraction = profile.first_token_fraction
        self._seconds = (profile.run_seconds if settings.seconds is None else settings.seconds).sampler
        self._replier = settings.chat.replier()
        self._transcriptions = settings.transcriptions
        self._transcribed = 0
        self.said: deque[str] = deque(maxlen=SAID_MAX)
        self._ids: Counter[str] = Counter()
        self._files = StoredFiles(self._new_id, now)

    def beside(self, execute: Execute) -> Execute:
        """A function that processes both kinds of calls; `execute` is the conversation API's."""

        def process(call: Call, cause: str = "") -> Answer:
            return self.execute(call) if type(call) is OtherCall else execute(call, cause)

        return process

    def take_time(self, call: OtherCall, key: str, index: int) -> float:
        """Draw how long the endpoint works on a call; what of it passes before the answer sets out, in seconds.

        A stream sets out at once, and its pieces take that time. `key` and `index` key the draw.
        """
        if call.generates:
            call.work_seconds = self._kernel.draws.seconds(self._seconds, key, "work-seconds", index)
        return 0.0 if call.streams else call.work_seconds

    def execute(self, call: OtherCall) -> Answer:
        """Process a call at this instant; never raises."""
        try:
            if call.operation == "chat.completions.create":
                return self._chat(call)
            return Answer(200, _PERFORM[call.operation](self, call))
        except ApiError as error:
            return Answer(error.status, error=error)

    def _chat(self, call: OtherCall) -> Answer:
        completion = Completion(call.params, self._replier, self._new_id, self._now())
        answer = Answer(200, completion.whole())
        if completion.text:
            self.said.append(completion.text)
        if call.streams:
            answer.stream = stream_of(completion, call.work_seconds, self._first_fraction, self._kernel.at)
        return answer

    def _transcribe(self, call: OtherCall) -> Any:
        texts = self._transcriptions
        answer = audio.transcribe(call.params, texts[self._transcribed % len(texts)] if texts else None)
        self._transcribed += 1
        return answer

    def _new_id(self, prefix: str) -> str:
        index = self._ids[prefix]
        self._ids[prefix] += 1
        return f"{prefix}{self._kernel.draws.token('other-endpoints', f'{prefix}id', 24, index)}"


_PERFORM: Final[dict[str, Callable[[Any, OtherCall], Any]]] = {
    "embeddings.create": lambda own, call: create_embeddings(call.params),
    "moderations.create": lambda own, call: fixed_answers.moderate(call.params, own._new_id("modr-")),
    "models.list": lambda own, call: fixed_answers.list_models(),
    "models.retrieve": lambda own, call: fixed_answers.retrieve_model(call.ids["model"]),
    "audio.speech.create": lambda own, call: audio.create_speech(call.params),
    "audio.transcriptions.create": OtherEndpoints._transcribe,
    "audio.translations.create": OtherEndpoints._transcribe,
    "files.create": lambda own, call: own._files.create(call.params),
    "files.list": lambda own, call: own._files.page(call.params),
    "files.retrieve": lambda own, call: own._files.retrieve(call.ids["file"]),
    "files.delete": lambda own, call: own._files.delete(call.ids["file"]),
    "files.content": lambda own, call: own._files.content(call.ids["file"]),
    "vector_stores.create": lambda own, call: own._files.create_store(call.params),
    "vector_stores.list": lambda own, call: own._files.stores(),
    "vector_stores.retrieve": lambda own, call: own._files.retrieve_store(call.ids["store"]),
    "vector_stores.update": lambda own, call: own._files.update_store(call.ids["store"], call.params),
    "vector_stores.delete": lambda own, call: own._files.delete_store(call.ids["store"]),
    "vector_stores.files.create": lambda own, call: own._files.add(call.ids["store"], call.params),
    "vector_stores.files.list": lambda own, call: own._files.of_store(call.ids["store"]),
    "vector_stores.files.retrieve": lambda own, call: own._files.one_of_store(call.ids["store"], call.ids["file"]),
    "vector_stores.files.delete": lambda own, call: own._files.remove(call.ids["store"], call.ids["file"]),
}
