"""A request as the bytes that are sent: a name or value that would end its line is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
WITHIN_LINES = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
MOST_NAMES = 256
"""Names of headers that are remembered: few programs and servers send many."""
_sound: set[str] = set()
"""Methods and header names that were looked at and are sound: a client sends few."""


def render(method: str, target: str, headers: Iterable[tuple[str, str | bytes]], body: bytes) -> bytes:
    """Return a request of HTTP/1.1 with just these headers: those that say whom it is for, and how long it is, as well.

    Raises ValueError for what can't stand in a head. That is a name or method that is no token, or a space in the
    target. In a value it is a control character (CR, LF and NUL among them), or a character beyond latin-1.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    if not _TARGET.fullmatch(target) or not _is_sound(method):
        raise ValueError("The method or target can't stand in the first line of a request.")
    for name, value in headers:
        if name not in _sound and not _is_sound(name):
            raise ValueError("The name of a header has characters that HTTP/1.1 does not allow.")
        lines.append(f"{name}: {value.decode('latin-1') if isinstance(value, bytes) else value}")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode("latin-1")
    if head.translate(None, WITHIN_LINES) != b"\r\n" * len(lines):
        raise ValueError("The value of a header has a control character.")
    return head + body


def _is_sound(name: str) -> bool:
    if name in _sound:
        return True
    if not TOKEN.fullmatch(name):
        return False
    if len(_sound) < MOST_NAMES:
        _sound.add(name)
    return True
