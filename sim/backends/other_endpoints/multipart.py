"""Bodies of media type `multipart/form-data` (RFC 7578): fields and files."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from relaysim.sim.backends import errors

_BOUNDARY: Final = re.compile(r'boundary="?([^";]{1,70})"?', re.IGNORECASE)
_NAME: Final = re.compile(r';\s*name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_FILE: Final = re.compile(r';\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class Upload(NamedTuple):
    """A file of a form."""

    name: str
    content: bytes


def parse_form(body: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a form, texts and uploads; of a repeated name the last one counts.

    Raises:
        ApiError: 400; the body is no form.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise errors.ApiError(400, "Could not parse multipart form")
    delimiter = b"--" + found[1].encode()
    fields: dict[str, Any] = {}
    for part in (b"\r\n" + body).split(b"\r\n" + delimiter)[1:]:
        if part.startswith(b"--"):
            return fields
        head, gap, content = part.partition(b"\r\n\r\n")
        disposition = head.decode("utf-8", "replace")
        name = _NAME.search(disposition)
        if not gap or name is None:
            break
        file = _FILE.search(disposition)
        fields[name[1]] = content.decode("utf-8", "replace") if file is None else Upload(file[1], content)
    raise errors.ApiError(400, "Could not parse multipart form")
