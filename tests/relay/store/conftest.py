"""Asynchronous tests here get an `arm` and run in it: on fakeredis in virtual time, and on a real server.

Each of them runs twice more with a client whose every script is processed twice, as when redis-py repeats a command whose
reply was lost: nothing that a test sees may differ.
"""

from __future__ import annotations

import inspect

import pytest
from store_arms import Arm, ServerArm, VirtualArm


@pytest.fixture(params=["virtual", "virtual-twice", "server", "server-twice"])
def arm(request: pytest.FixtureRequest) -> Arm:
    where, _, twice = request.param.partition("-")
    if where == "virtual":
        return VirtualArm(twice=bool(twice))
    return ServerArm(request.getfixturevalue("valkey_connection"), twice=bool(twice))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    arguments["arm"].run(lambda: pyfuncitem.obj(**arguments))
    return True
