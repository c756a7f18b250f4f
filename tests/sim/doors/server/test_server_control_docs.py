"""What documents the control API: openapi.json, its page, and the how-to. All of it is held against a server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_page import Example, assert_printed, examples_of, outputs_of
from control_bench import Bench

from relaysim.sim.doors.server.background import BackgroundServer

PAGE = Path(__file__).parents[4] / "docs" / "control-api.md"

Row = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """openapi.json as it is served."""
    with Bench() as bench:
        document: dict[str, Any] = bench.done("GET", "/openapi.json")
    return document


def operations(schema: dict[str, Any]) -> list[Row]:
    return [
        (method.upper(), path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]


def test_every_operation_is_named_and_described(schema: dict[str, Any]) -> None:
    found = operations(schema)
    assert len(found) == 18
    names = [operation["operationId"] for _, _, operation in found]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in schema["tags"]}
    for _, path, operation in found:
        assert re.fullmatch(r"[a-z_]+", operation["operationId"]), path
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags, path
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith(
            "/ErrorAnswer"
        )
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])


def test_every_model_is_described_and_so_are_its_fields(schema: dict[str, Any]) -> None:
    bare = [
        f"{name}.{field}"
        for name, model in schema["components"]["schemas"].items()
        for field, said in [("", model), *model.get("properties", {}).items()]
        if not said.get("description") and not ({"$ref", "const"} & set(said)) and not _is_list_of_models(said)
    ]
    assert bare == []


def _is_list_of_models(said: dict[str, Any]) -> bool:
    return "$ref" in said.get("items", {})


def test_its_addresses_are_those_of_the_server(schema: dict[str, Any]) -> None:
    assert schema["servers"] == [{"url": "/_relaysim"}]


def examples(schema: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for method, path, operation in operations(schema):
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            options = [each for each in body.get("anyOf", [body]) if each != {"type": "null"}]
            if "$ref" in options[0] and "examples" not in body:
                body = schema["components"]["schemas"][options[0]["$ref"].rpartition("/")[2]]
            if "examples" not in body:
                body = {"examples": [{name: said["examples"][0] for name, said in body["properties"].items()}]}
            yield from ((method, path, example) for example in body["examples"])


def test_every_body_has_an_example_that_is_accepted(schema: dict[str, Any]) -> None:
    tried = []
    for method, path, example in examples(schema):
        with Bench() as bench:
            if "{run_id}" in path:
                run_id = bench.started()
                bench.advance(5)
                bench.done(method, path.format(run_id=run_id), example)
            else:
                bench.done(method, path, example)
        tried.append(f"{method} {path}")
    assert set(tried) == {
        "POST /reset",
        "POST /clock",
        "POST /clock/advance",
        "POST /faults",
        "PUT /faults",
        "POST /runs/{run_id}/move",
        "PUT /replies",
    }


def test_the_page_needs_nothing_from_elsewhere() -> None:
    with Bench() as bench:
        page = bench.control("GET", "/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "//" not in page.text.replace("<!--", "")
        addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
        needed = [first or second for first, second in addresses]
        assert len(needed) == 4
        for address in needed:
            answer = bench.run(bench.ask("GET", address))
            assert answer.status_code == 200, address
            assert len(answer.content) > 1000, address


def test_no_file_of_ours_names_an_address_elsewhere() -> None:
    folder = Path(__file__).parents[4] / "sim" / "doors" / "server"
    named = [
        (path.name, address)
        for path in sorted(folder.glob("control*.py"))
        for address in re.findall(r"https?://\S+", path.read_text(encoding="utf-8"))
    ]
    assert named == []


# The how-to


def test_the_how_to_lists_every_request(schema: dict[str, Any]) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## All requests")[2]
    listed = re.findall(r"^\| `(\w+) (/\S*)` \| (.+) \|$", section, re.MULTILINE)
    assert listed == [(method, path, operation["summary"]) for method, path, operation in operations(schema)]


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl")
def test_the_examples_print_what_the_how_to_says(tmp_path: Path) -> None:
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (7, 82):
        pytest.skip("needs curl 7.82")
    examples = examples_of(PAGE)
    with BackgroundServer() as running:
        printed = outputs_of(examples, int(running.url.rpartition(":")[2]), tmp_path)
    assert len(examples) > 25
    assert_printed(examples, printed)


def test_dots_stand_for_anything_and_nothing_else_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ one \\\n> more\na...\nend\n$ two\n```\ntext\n```sh\n$ three\n```\n")
    assert examples_of(page) == [Example("one \\\nmore", "a...\nend"), Example("two", "")]
    example = examples_of(page)[0]
    assert example.matches("a b\nc\nend")
    assert not example.matches("b a\nend")
    assert not example.matches("a\nend.")
