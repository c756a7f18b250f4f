"""Speech that says nothing, and transcriptions by script."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import RawContent
from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.other_endpoints.multipart import Upload

SECONDS: Final = 0.5
"""How long the silence is that stands for speech, and every recording that is transcribed."""

_RATE: Final = 24_000
_SAMPLES: Final = bytes(2 * int(_RATE * SECONDS))
_MP3_FRAME: Final = bytes.fromhex("fff3 84c4".replace(" ", "")) + bytes(380)
"""MPEG-2 layer III, 64 kbit/s, 24 kHz, mono: 24 ms of silence (the side information is all zeros)."""


def create_speech(params: Mapping[str, Any]) -> RawContent:
    """A recording of half a second, whatever was to be said.

    Raises:
        ApiError: 400; no model, no text, or no voice.
    """
    for name in ("model", "input", "voice"):
        if not params.get(name):
            raise errors.missing_parameter(name)
    wanted = params.get("response_format") or "mp3"
    if wanted == "pcm":
        return RawContent(_SAMPLES, "audio/pcm")
    if wanted == "wav":
        head = struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(_SAMPLES), b"WAVE", b"fmt ", 16, 1, 1, *_WAV, len(_SAMPLES)
        )
        return RawContent(head + _SAMPLES, "audio/wav")
    if wanted == "opus":
        return RawContent(_ogg_opus(), "audio/ogg")
    if wanted == "mp3":
        return RawContent(_MP3_FRAME * round(SECONDS / 0.024), "audio/mpeg")
    raise errors.invalid_choice("response_format", str(wanted), ("mp3", "opus", "aac", "flac", "wav", "pcm"))


_WAV: Final = (_RATE, 2 * _RATE, 2, 16, b"data")


def transcribe(params: Mapping[str, Any], text: str | None) -> Object | RawContent:
    """The transcription of an upload, in the format that is asked for.

    Args:
        params: of the request.
        text: what the script says; None: it says nothing.

    Raises:
        ApiError: 400; no file, no model, or an unknown format.
    """
    file, model = params.get("file"), params.get("model")
    if not isinstance(file, Upload):
        raise errors.missing_parameter("file")
    if not model:
        raise errors.missing_parameter("model")
    said = f"Transcription of {file.name}" if text is None else text
    wanted = params.get("response_format") or "json"
    if wanted == "json":
        return {"text": said, "usage": {"type": "duration", "seconds": 1}}
    if wanted == "text":
        return RawContent(f"{said}\n".encode(), "text/plain; charset=utf-8")
    if wanted == "srt":
        return RawContent(f"1\n00:00:00,000 --> 00:00:00,500\n{said}\n\n\n".encode(), "text/plain; charset=utf-8")
    if wanted == "vtt":
        return RawContent(f"WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n{said}\n\n".encode(), "text/vtt; charset=utf-8")
    if wanted == "verbose_json":
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": SECONDS,
            "text": said,
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": -0.1,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        }
        language = params.get("language") or "english"
        return {"task": "transcribe", "language": language, "duration": SECONDS, "text": said, "segments": [segment]}
    raise errors.invalid_choice("response_format", str(wanted), ("json", "text", "srt", "verbose_json", "vtt"))


def _ogg_opus() -> bytes:
    """Three Ogg pages (RFC 3533, RFC 7845): head, comments, and 25 packets of 20 ms of silence each."""
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, 48_000, 0, 0)
    tags = struct.pack("<8sI8sI", b"OpusTags", 8, b"relaysim", 0)
    packets = [b"\xf8\xff\xfe"] * int(SECONDS / 0.02)
    return _page(0, 2, 0, [head]) + _page(1, 0, 0, [tags]) + _page(2, 4, 960 * len(packets), packets)


def _page(number: int, kind: int, granule: int, packets: list[bytes]) -> bytes:
    lengths = bytes(len(packet) for packet in packets)
    page = (
        struct.pack("<4sBBqIIIB", b"OggS", 0, kind, granule, 1, number, 0, len(packets)) + lengths + b"".join(packets)
    )
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(page: bytes) -> int:
    """CRC-32 with the polynomial 0x04c11db7, not reflected."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = ((value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
