"""Which requests are plain, and where they go. What is not plain goes by the SDK's own transport."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict

from .message import render

_PORTS = {"http": 80, "https": 443}
_UNUSUAL = frozenset({"connection", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"})


class Target(NamedTuple):
    """Where requests to one URL go."""

    scheme: str
    host: str
    port: int
    path: str
    """What stands in the first line of a request: the path, and the query if there is one."""
    host_header: str


@lru_cache(maxsize=100)
def target_of(url: str) -> Target | None:
    """Return where a URL leads; None if it is no plain one: of another scheme, with a user's name, not all ASCII."""
    if not url.isascii():
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    default = _PORTS.get(parts.scheme)
    if default is None or not host or "@" in parts.netloc or "%" in host:
        return None
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != default:
        shown = f"{shown}:{port}"
    path = parts.path or "/"
    return Target(parts.scheme, host, port or default, f"{path}?{parts.query}" if parts.query else path, shown)


def is_plain(request: Any) -> bool:
    """Return whether a prepared request is a POST of bytes, whose answer is read as a whole."""
    return request.method == "POST" and type(request.body) is bytes and not request.stream_output


def message_of(request: Any, target: Target) -> bytes | None:
    """Return the bytes of a plain request; None if the SDK must send it, or say what is wrong with its head."""
    headers = headers_of(request, target)
    try:
        return None if headers is None else render("POST", target.path, headers, request.body)
    except ValueError:
        return None


def headers_of(request: Any, target: Target) -> list[tuple[str, str | bytes]] | None:
    """Return the headers that a plain request is sent with; None if one asks for what is not plain."""
    found: list[tuple[str, str | bytes]] = [("Host", target.host_header), ("Accept-Encoding", "identity")]
    has_length = False
    for name, value in _items(request.headers):
        lower = name.lower()
        if lower == "host" and value in (target.host_header, target.host_header.encode()):
            continue  # awscrt's signer puts it in
        if lower in _UNUSUAL:
            return None
        if lower == "content-length":
            has_length = True
        if lower != "accept-encoding":
            found.append((name, value.encode() if type(value) is str and not value.isascii() else value))
    if not has_length:
        found.append(("Content-Length", str(len(request.body))))
    return found


def _items(headers: Any) -> Iterable[tuple[str, Any]]:
    """Return names and values. botocore's own mapping makes a key anew for each look-up: what it holds is quicker."""
    held = vars(headers).get("_dict") if type(headers) is HeadersDict else None
    if type(held) is dict:
        return [(str(key), value) for key, value in held.items()]
    items: Iterable[tuple[str, Any]] = headers.items()
    return items
