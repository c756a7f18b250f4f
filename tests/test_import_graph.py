"""Goal: the rooms stay in their order: no circle of imports anywhere, no import of a room above one's own.

Method: every import statement of every module, those inside functions and those for type checking included, read from
the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from relaysim.sim.backends.threads.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "relaysim."
FOLDERS = ("relay", "sim", "scenarios", "reports")

BACKENDS = [
    path.parent.name
    for path in (ROOT / "sim" / "backends").glob("*/backend.py")
    if (path.parent / "__init__.py").exists()
]

MAY_IMPORT = {
    "relay": set(),
    "sim.kernel": set(),
    "sim.threads": {"sim.kernel"},
    "sim.process": {"sim.kernel", "sim.threads"},
    "sim.sockets": {"sim.kernel"},
    "sim.trace": {"sim.kernel"},
    "sim.faults": {"sim.kernel", "sim.trace"},
    "sim.redis": {"sim.kernel", "sim.sockets", "sim.trace", "sim.faults"},
    "sim.providers": set(),
    "sim.validation_words": set(),
    "sim.toml_file": set(),
    "sim.counted": set(),
    "sim.backends": {"sim.kernel", "sim.trace", "sim.toml_file"},
    "sim.doors": {
        "sim.counted",
        "sim.validation_words",
        "sim.kernel",
        "sim.sockets",
        "sim.trace",
        "sim.faults",
        "sim.backends",
    },
    **{f"sim.backends.{name}": {"sim.kernel", "sim.trace", "sim.backends", "sim.doors"} for name in BACKENDS},
    "sim.world": {
        "sim.counted",
        "sim.validation_words",
        "sim.kernel",
        "sim.process",
        "sim.threads",
        "sim.providers",
        "sim.sockets",
        "sim.trace",
        "sim.faults",
        "sim.redis",
        "sim.backends",
        "sim.doors",
    },
    "sim.outside": {
        "sim.kernel",
        "sim.providers",
        "sim.sockets",
        "sim.trace",
        "sim.faults",
        "sim.redis",
        "sim.backends",
        "sim.doors",
        "sim.world",
    },
    "sim.pytest_plugin": {"sim.doors", "sim.backends.threads"},
    "reports": {"sim.counted", "sim.trace"},
    "scenarios": {
        "relay",
        "reports",
        "sim.counted",
        "sim.toml_file",
        "sim.validation_words",
        "sim.kernel",
        "sim.pytest_plugin",
        "sim.trace",
        "sim.faults",
        "sim.redis",
        "sim.backends",
        "sim.backends.threads",
        "sim.doors",
        "sim.outside",
        "sim.providers",
        "sim.world",
    },
}
"""Which rooms each room may import, besides itself.

What simulated APIs have in common lies below the doors, and each API's own package above them: it brings its clients and its
control routes, made of their parts. Doors and worlds reach it by `relaysim.sim.backends.backend_named` only, and no API's
package knows another.
"""


def test_no_module_is_imported_by_what_it_imports() -> None:
    try:
        TopologicalSorter(graph(ROOT)).prepare()
    except CycleError as circle:
        pytest.fail(f"a circle of imports: {' <- '.join(circle.args[1])}")


def test_no_room_imports_a_room_above_it() -> None:
    upward = sorted(
        f"{module} imports {target}"
        for module, targets in graph(ROOT).items()
        for target in targets
        if room(module) != room(target) and room(target) not in MAY_IMPORT[room(module)]
    )
    assert upward == []


def test_the_rooms_themselves_have_an_order() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()
    assert {room(module) for module in graph(ROOT)} <= {*MAY_IMPORT, "sim"}


def test_the_judge_names_no_file_as_the_world_around_it_does() -> None:
    world = ROOT / "sim" / "world"
    judge = {path.name for path in world.glob("judge/*.py")}
    assert judge & {path.name for path in world.glob("*.py")} == {"__init__.py"}


def test_every_folder_says_what_lives_in_it() -> None:
    """Whoever opens a folder reads in its `__init__` what each module is for, or where to begin."""
    commands = ROOT / "scenarios" / "commands"  # named after the commands
    unnamed = [
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for init in sorted((ROOT / folder).rglob("__init__.py"))
        if init.parent != commands
        for path in sorted(init.parent.glob("*.py"))
        if path.stem not in ("__init__", "__main__")
        and not re.search(rf"\b{path.stem}\b", ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "")
    ]
    assert unnamed == []


def test_what_all_apis_have_in_common_names_no_operation_of_one() -> None:
    """What an operation does is said by its API's `OperationRoles`; a room that knows it by name knows one API only."""
    # In documentation, of the default API.
    examples = {"sim/doors/api_handle.py", "sim/doors/server/control_models.py", "scenarios/scenario_reference.py"}
    named = re.compile("[\"'](?:" + "|".join(re.escape(each.name) for each in OPERATIONS) + ")[\"']")
    found = [
        f"{name}: {match[0]}"
        for folder in ("sim", "scenarios", "reports")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not (name := path.relative_to(ROOT).as_posix()).startswith("sim/backends/threads/") and name not in examples
        for match in named.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_circle_and_every_form_of_import_is_seen(tmp_path: Path) -> None:
    """The test's own test: what it would miss, it would not find above either."""
    (tmp_path / "sim" / "kernel").mkdir(parents=True)
    (tmp_path / "sim" / "__init__.py").write_text("")
    (tmp_path / "sim" / "kernel" / "__init__.py").write_text("from relaysim.sim.kernel.a import x\n")
    (tmp_path / "sim" / "kernel" / "a.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from relaysim.sim.kernel import b\n"
    )
    (tmp_path / "sim" / "kernel" / "b.py").write_text("def f():\n    import relaysim.sim.kernel.a\n")
    found = graph(tmp_path)
    assert found["sim.kernel.a"] == {"sim.kernel.b"}
    assert found["sim.kernel.b"] == {"sim.kernel.a"}
    with pytest.raises(CycleError):
        TopologicalSorter(found).prepare()


def room(module: str) -> str:
    """`sim.kernel` for `sim.kernel.draws`, `sim.backends.threads` for what is in there, `relay` for `relay.drain.store`."""
    parts = module.split(".")
    if parts[:2] == ["sim", "backends"] and ".".join(parts[:3]) in MAY_IMPORT:
        return ".".join(parts[:3])
    return ".".join(parts[:2]) if parts[0] == "sim" else parts[0]


@cache
def graph(root: Path) -> dict[str, set[str]]:
    """What each module imports of the project; a package's own name stands for its `__init__`."""
    files = {}
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {module: _imports(path, files.keys()) - {module} for module, path in files.items()}


def _imports(path: Path, modules: Collection[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not used here"
            assert node.module is not None
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            modules_named = {name for name in named if name.removeprefix(PACKAGE) in modules}
            found |= modules_named if modules_named == named else {*modules_named, node.module}
    return {name.removeprefix(PACKAGE) for name in found if name.startswith(PACKAGE)} & set(modules)
