"""Whether the head of a Ray cluster listens at an address: Ray itself asks for minutes where nobody does."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack

ANSWER = 10.0  # seconds that a cluster's port has to answer
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of HTTP/2 begins; the server's first frame is one of type 4, too (RFC 9113, 3.4)."""


def reachable(address: str) -> None:
    """Raises OSError, ValueError where nobody listens at HOST:PORT who could be the head of a Ray cluster."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        line = stack.enter_context(socket.create_connection((host.strip("[]"), int(port)), ANSWER))
        if (tls := _tls()) is not None:
            line = stack.enter_context(tls.wrap_socket(line))
        line.sendall(HELLO)
        if line.recv(9)[3:4] != b"\x04":
            raise OSError(
                "what listens there is no Ray"
                + ("" if tls else ", or one that speaks TLS alone (RAY_USE_TLS)")
            )


def _tls() -> ssl.SSLContext | None:
    """What Ray's own connections are made with, by its variables; None where it does without. Raises OSError for files
    that are no certificates."""
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # gRPC looks at that; here it is only asked who listens
    context.set_alpn_protocols(["h2"])
    if authority := os.environ.get("RAY_TLS_CA_CERT"):
        context.load_verify_locations(authority)
    if certificate := os.environ.get("RAY_TLS_SERVER_CERT"):
        context.load_cert_chain(certificate, os.environ.get("RAY_TLS_SERVER_KEY"))
    return context
