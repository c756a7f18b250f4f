"""Which page of the documents tells more: of each command, and of each kind of file that may be wrong.

The pages are in the package (`relaysim/docs`), so whoever installed it can read them with `relaysim docs PAGE`. A page is
called by its path without `.md`, and a part of it by the anchor of its heading behind a `#`, as links have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import relaysim

PAGES: Final = {
    "run": ("scenarios", "trace"),
    "verify": ("answers", "own-relay", "sequential", "ci"),
    "judge": ("judge", "providers"),
    "explore": ("exploring",),
    "compare": ("comparing-policies",),
    "ablate": ("ablations",),
    "fit": ("fitting",),
    "sweep": ("sweeps",),
    "tune": ("tuning",),
    "replay": ("stories",),
    "report": ("ci",),
    "figures": ("figures",),
    "doctor": ("determinism",),
    "serve": ("serving", "control-api"),
    "demo": ("relay-program", "judge"),
    "list": ("scenarios",),
    "docs": (),
    "completion": (),
}
"""The pages that tell more of each command."""

EXAMPLES: Final = {
    "run": ("relaysim run race --seed 7", "relaysim run stuck_run --seed 7 --trace world.json"),
    "verify": (
        "relaysim verify incident",
        "relaysim verify --factory my_bot:make --replications 100",
        "relaysim verify rapid_pair --app my_app:app --provider whatsapp",
    ),
    "judge": (
        "relaysim judge --init",
        "relaysim judge rapid_pair",
        "relaysim judge rapid_pair --seed 3",
    ),
    "explore": ("relaysim explore rapid_pair --factory my_bot:make --seconds 60",),
    "compare": (
        "relaysim compare peak_hour --replications 50",
        "relaysim compare race --policies cancel_and_retry,drain",
    ),
    "ablate": ("relaysim ablate no_fencing no_renewal --root-seeds 1",),
    "fit": ("relaysim fit relay.log",),
    "sweep": (
        "relaysim sweep race --grid relay.settings.first_wait_seconds=1,2,4",
        "relaysim sweep race --list points.csv",
    ),
    "tune": ("relaysim tune race --budget 40 --replications 200", "relaysim tune race --objectives failures,delay"),
    "replay": (
        "relaysim replay race --seed 7",
        "relaysim replay race --seed 7 --factory my_bot:make --claim transparent",
    ),
    "report": ("relaysim report", "relaysim report before/ reports/out/race/latest"),
    "figures": ("relaysim figures reports/out/race/latest --format svg,pdf",),
    "doctor": ("relaysim doctor race --factory my_bot:make",),
    "serve": ("relaysim serve --speed 20", "relaysim serve --api responses --faults faults.toml --port 8017"),
    "demo": ("relaysim demo", "relaysim demo --port 9000"),
    "list": ("relaysim list",),
    "docs": ("relaysim docs", "relaysim docs own-relay"),
    "completion": ("relaysim completion bash",),
}
"""Lines to type, of each command."""

SCENARIO: Final = "scenarios#the-file"
PROFILE: Final = "scenarios#profiles"
FACTORY: Final = "own-relay"
POLICY: Final = "policy-file"
POINTS: Final = "sweeps#points"
LOGS: Final = "fitting#what-it-reads"
RESULTS: Final = "ci#where-results-lie"
FAULTS: Final = "serving#faults"
REPLIES: Final = "serving#replies"
OTHER_ENDPOINTS: Final = "other-endpoints"

_SECTIONS: Final = {
    "profile": "profiles",
    "profile_overrides": "profiles",
    "relay": "relayundertest",
    "workers": "workergroup",
    "workload": "workload",
    "other_endpoints": "otherendpointssettings",
    "events": "eventsettings",
    "faults": "apifault",
    "host_faults": "hostfault",
    "redis_faults": "redisfault",
    "webhook_faults": "webhookfault",
    "send_faults": "sendfault",
    "swarm": "swarm",
    "liveness": "liveness",
    "strata": "strata",
    "explored": "explored",
    "limits": "limits",
    "redis": "redisserver",
    "tape": "tape",
    "schedule": "hold",
    "claims": "claimentry",
    "counters": "counter",
    "map": "mapplan",
    "curve": "curveplan",
}
"""Where the page on scenarios tells of a key's table."""

FOLDER: Final = Path(relaysim.__file__).parent / "docs"


def scenario_page(path: str) -> str:
    """The part of the page on scenarios that tells of a place in one, such as `workload.messages[0]`."""
    section = _SECTIONS.get(re.split(r"[.\[]", path)[0])
    return f"scenarios#{section}" if section else SCENARIO


def joined(pages: Iterable[str]) -> str:
    """Several pages as one text: each once, and of different parts of one page the page. "" for none."""
    parts: dict[str, set[str]] = {}
    for page in pages:
        name, _, section = page.partition("#")
        if name:
            parts.setdefault(name, set()).add(section)
    return ", ".join(
        f"{name}#{next(iter(sections))}" if len(sections) == 1 and sections != {""} else name
        for name, sections in parts.items()
    )


def lines_to_type(pages: Sequence[str]) -> str:
    """What somebody types to read these pages."""
    return ", ".join(f"relaysim docs {page}" for page in pages)


def names() -> list[str]:
    """Every page there is."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.md"))


def text_of(name: str) -> str:
    """A page, in Markdown. Raises OSError if there is none."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def sections_of(text: str) -> dict[str, str]:
    """The parts of a page by the anchors of their headings, each with all that lies below its heading."""
    lines = text.splitlines(keepends=True)
    headings: list[tuple[int, int, str]] = []  # line, level, anchor
    in_code = False
    for number, line in enumerate(lines):
        in_code ^= line.lstrip().startswith("```")
        heading = None if in_code else re.match(r"(#+) +(.+)", line)
        if heading is not None:
            headings.append((number, len(heading[1]), _anchor(heading[2], [each for _, _, each in headings])))
    sections = {}
    for at, (number, level, anchor) in enumerate(headings):
        end = next((line for line, other, _ in headings[at + 1 :] if other <= level), len(lines))
        sections[anchor] = "".join(lines[number:end])
    return sections


def _anchor(heading: str, taken: Sequence[str]) -> str:
    """As code hosts make it: lower case, letters, digits, `_`, `-`, blanks as `-`; the same again gets `-1`."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    plain = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
    name, number = plain, 0
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
