"""TLS passed over: on a host with sockets its bytes travel as they are, and no certificates are loaded.

What a library asks of a TLS object is answered as if TLS 1.3 had been agreed on, with HTTP/1.1 above it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from relaysim.sim.sockets.host_sockets import sockets_here
from relaysim.sim.sockets.simulated_socket import SimulatedSocket, new_socket

_CIPHER: Final = ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)

_LOADING: Final = ("load_verify_locations", "load_default_certs", "set_default_verify_paths")
"""Methods of a context that load certificates: 27 milliseconds for each client, and nothing is verified with them."""


class TlsFacts:
    """What a TLS object tells of a connection that is as good as encrypted."""

    context: ssl.SSLContext
    server_hostname: str | None
    server_side = False

    def getpeercert(self, binary_form: bool = False) -> Any:
        """An empty certificate: nothing was verified."""
        return b"" if binary_form else {}

    def get_unverified_chain(self) -> list[bytes]:
        """No certificates."""
        return []

    def selected_alpn_protocol(self) -> str | None:
        """None was agreed on, so that HTTP is 1.1."""
        return None

    def selected_npn_protocol(self) -> None:
        """None was agreed on."""

    def cipher(self) -> tuple[str, str, int]:
        """The usual one."""
        return _CIPHER

    def shared_ciphers(self) -> list[tuple[str, str, int]]:
        """The usual one."""
        return [_CIPHER]

    def compression(self) -> None:
        """There is none."""

    def version(self) -> str:
        """The newest."""
        return "TLSv1.3"

    def get_channel_binding(self, cb_type: str = "tls-unique") -> None:
        """There is none."""

    def do_handshake(self) -> None:
        """It is done."""


class PassedOverObject(TlsFacts):
    """In place of an `ssl.SSLObject`: what is written goes out as it is, what comes in is read as it is."""

    def __init__(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, context: ssl.SSLContext, server_hostname: Any
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.context = context
        self.server_hostname = (
            server_hostname.decode("ascii") if isinstance(server_hostname, bytes) else server_hostname
        )

    def read(self, most: int = 1024, buffer: Any = None) -> Any:
        """What has come in.

        Raises:
            ssl.SSLWantReadError: nothing has.
        """
        data = self._incoming.read(most)
        if not data and not self._incoming.eof:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")
        if buffer is None:
            return data
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        return count

    def write(self, data: Any) -> int:
        """Let it go out."""
        return self._outgoing.write(data)

    def pending(self) -> int:
        """How many bytes can be read."""
        return self._incoming.pending

    def unwrap(self) -> None:
        """There is nothing to take off."""


class SimulatedTlsSocket(TlsFacts, SimulatedSocket):
    """In place of an `ssl.SSLSocket`."""

    def read(self, most: int = 1024, buffer: Any = None) -> Any:
        """As `recv`, or as `recv_into` if there is a buffer."""
        return self.recv(most) if buffer is None else self.recv_into(buffer, most)

    def write(self, data: Any) -> int:
        """As `send`."""
        return self.send(data)

    def pending(self) -> int:
        """Nothing that has come in waits to be decrypted."""
        return 0

    def unwrap(self) -> socket.socket:
        """The connection without TLS."""
        made = new_socket(SimulatedSocket)
        self.hand_over(made)
        return made


def pass_over_tls() -> Callable[[], None]:
    """Install this everywhere. Code on hosts without sockets sees the real thing.

    Returns:
        What puts everything back.
    """
    undo: list[Callable[[], None]] = []
    real_wrap_bio, real_wrap_socket = ssl.SSLContext.wrap_bio, ssl.SSLContext.wrap_socket

    def wrap_bio(
        self: ssl.SSLContext,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if sockets_here() is not None:
            return PassedOverObject(incoming, outgoing, self, server_hostname)
        return real_wrap_bio(self, incoming, outgoing, server_side, server_hostname, session)

    def wrap_socket(
        self: ssl.SSLContext,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if not isinstance(sock, SimulatedSocket):
            return real_wrap_socket(
                self, sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
            )
        made = new_socket(SimulatedTlsSocket)
        sock.hand_over(made)
        made.context, made.server_hostname = self, server_hostname
        return made

    def replace(name: str, substitute: Callable[..., Any]) -> None:
        own = vars(ssl.SSLContext).get(name)  # None: it is inherited from the C class, which cannot be changed
        setattr(ssl.SSLContext, name, substitute)
        undo.append(
            partial(delattr, ssl.SSLContext, name) if own is None else partial(setattr, ssl.SSLContext, name, own)
        )

    replace("wrap_bio", wrap_bio)
    replace("wrap_socket", wrap_socket)
    for name in _LOADING:
        replace(name, _unless_on_host_with_sockets(getattr(ssl.SSLContext, name)))

    def restore() -> None:
        while undo:
            undo.pop()()

    return restore


def _unless_on_host_with_sockets(real: Callable[..., Any]) -> Callable[..., Any]:
    def load(*args: Any, **kwargs: Any) -> Any:
        return None if sockets_here() is not None else real(*args, **kwargs)

    return load
