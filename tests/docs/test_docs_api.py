"""Goal: the page on Python has what a program may import, under names that are there. Method: each is imported."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import relaysim

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
NAMES = re.findall(r"^::: (\S+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_described_is_there_and_has_a_docstring(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert inspect.getdoc(getattr(importlib.import_module(module), attribute))


def test_all_of_relaysim_itself_is_described() -> None:
    described = {name.rpartition(".")[2] for name in NAMES}
    assert {*relaysim.__all__} - {"__version__"} <= described


def test_what_the_page_says_comes_from_the_relay_does() -> None:
    of_relay = [name for name in NAMES if name.startswith("relaysim.relay.")]
    assert len(of_relay) > 10
    relay, channels = (importlib.import_module(name) for name in ("relaysim.relay", "relaysim.relay.drain"))
    for name in of_relay:
        attribute = name.rpartition(".")[2]
        assert hasattr(channels if attribute in {"NotSent", "Channel"} else relay, attribute), name
