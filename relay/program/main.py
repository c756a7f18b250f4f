"""The command `relaysim-relay`."""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from relaysim.relay.program.configuration import Configuration, ConfigurationError, read_configuration
from relaysim.relay.program.embedded import CannotEmbed, EmbeddedServer
from relaysim.relay.program.log_setup import set_up_log
from relaysim.relay.program.variables import VARIABLES, listing

_ABOUT = """\
Run the relay: webhooks of a chat provider in, answers of a conversation API out, with Redis in between.
Everything is configured by environment variables; docs/relay-program.md says what is promised.
"""
_EXIT_CODES = (
    "exit codes: 0 stopped by a signal, or the configuration is good; 1 ended by itself; 2 wrong configuration"
)


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the command; returns its exit code.

    Args:
        arguments: by default those of this process.
        environment: by default that of this process.
    """
    parser = _Parser(
        prog="relaysim-relay",
        description=_ABOUT,
        epilog=f"environment variables:\n{listing()}\n\nSecrets may also come from a file: the variable's name with _FILE.\n"
        + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true", help="check the configuration and the policy file, and end")
    group.add_argument("--print-environment", action="store_true", help="print every variable with its value, and end")
    options = parser.parse_args(arguments)
    try:
        configuration = read_configuration(os.environ if environment is None else environment)
    except ConfigurationError as error:
        for problem in error.problems:
            print(f"relaysim-relay: {problem}", file=sys.stderr)
        return 2
    if options.check:
        print("relaysim-relay: the configuration is good")
        return 0
    if options.print_environment:
        print(shown(configuration))
        return 0
    return _serve(configuration)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the options; the help, with every variable, is for those who ask."""

    def error(self, message: str) -> NoReturn:
        """Print it and end with 2."""
        said = message.removeprefix("argument ")
        print(f"{self.prog}: {said} (more: {self.prog} --help, docs/relay-program.md)", file=sys.stderr)
        self.exit(2)


def shown(configuration: Configuration) -> str:
    """Every variable with the value that counts; of a secret, whether there is one."""
    lines = []
    for variable in VARIABLES:
        value = configuration.values.get(variable.name)
        text = "" if value is None else "(set)" if variable.secret else str(value)
        lines.append(f"{variable.name}={text}")
    return "\n".join(lines)


def _serve(configuration: Configuration) -> int:
    # Not needed for a look at the configuration, and not there without the extra.
    try:
        import httptools  # noqa: F401  (what uvicorn is told to use)

        from relaysim.relay.program.service import Service
    except ModuleNotFoundError as error:
        print(
            f"relaysim-relay: the package {error.name} is not installed; install the extra: pip install 'relaysim[relay]'",
            file=sys.stderr,
        )
        return 2

    values = configuration.values
    host, port = values["RELAY_HOST"], values["RELAY_PORT"]
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        because = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
        print(
            f"relaysim-relay: RELAY_HOST = {host!r}, RELAY_PORT = {port}: cannot listen there: {because}; "
            "choose another address or port",
            file=sys.stderr,
        )
        return 2
    server = None
    try:
        if values["REDIS_URL"] == "embedded":
            server = EmbeddedServer(values["RELAY_EMBEDDED_FOLDER"])
        set_up_log(values["RELAY_LOG_LEVEL"])
        url = values["REDIS_URL"] if server is None else server.url

        async def serve() -> int:
            return await Service(configuration, url, listening).run()

        return asyncio.run(serve())
    except CannotEmbed as error:
        print(f"relaysim-relay: {error}", file=sys.stderr)
        return 2
    finally:
        listening.close()
        if server is not None:
            server.stop()
