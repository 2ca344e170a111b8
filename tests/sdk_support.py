"""What tests look at of the SDK's that has no public name, and the sockets that a client has open."""

from __future__ import annotations

import gc
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit


def http_session_of(client: Any) -> Any:
    """Return the HTTP session of a client, of boto3 or aiobotocore."""
    return client._endpoint.http_session  # noqa: SLF001 - botocore has no public way


def trusted_by(client: Any) -> Any:
    """Return which certificates a client trusts: True, False, or a file."""
    return http_session_of(client)._verify  # noqa: SLF001 - as above


def handlers_at(client: Any, event: str) -> Any:
    """Return the handlers of a client's event, in their order."""
    return client.meta.events._emitter._handlers.prefix_search(event)  # noqa: SLF001 - as above


def sockets_to(url: str) -> list[socket.socket]:
    """Return this process's open sockets that lead to a server of the loopback."""
    return [found for found, (_, peer) in _connected() if peer == urlsplit(url).port]


def sockets_at(url: str) -> list[socket.socket]:
    """Return the open sockets of a server's connections, if the server is of this process."""
    return [found for found, (own, _) in _connected() if own == urlsplit(url).port]


def _connected() -> list[tuple[socket.socket, tuple[int, int]]]:
    """Return this process's sockets that are connected, with their ports and their peers'."""
    connected = []
    for found in gc.get_objects():
        if issubclass(type(found), socket.socket) and found.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):  # closed, or not connected
                connected.append((found, (found.getsockname()[1], found.getpeername()[1])))
    return connected
