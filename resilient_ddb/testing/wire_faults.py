"""Faults on the way: late, lost, cut, spoilt and foreign answers, and broken connections."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from resilient_ddb.policy.checks import check_whole

from .messages import Response, crc32, header
from .plan import Act, End, Fault, Forward, Refuse, check_below_one, check_bytes, check_number, check_text

if TYPE_CHECKING:
    from .calls import Call


_NEVER_IN_UTF8 = 0xFF


@dataclass(frozen=True, kw_only=True)
class Delay(Fault):
    """Forward late. A client that has given up by then has its request applied all the same."""

    seconds: float
    """How long to wait, in real seconds."""

    def _check(self) -> None:
        check_number("seconds", self.seconds, 0)

    def act(self, _call: Call, /) -> Act:
        """Forward, later."""
        return Forward(delay=self.seconds)


@dataclass(frozen=True, kw_only=True)
class Hang(Fault):
    """Never answer: hold the connection until the client leaves or the proxy stops. Nothing is forwarded."""

    def act(self, _call: Call, /) -> Act:
        """Answer nothing."""
        return Refuse(answer=End.HANG)


@dataclass(frozen=True, kw_only=True)
class ResetBefore(Fault):
    """Break the connection before anything is forwarded."""

    close: bool = False
    """Close it in good order (FIN) instead of resetting it (RST)."""

    def act(self, _call: Call, /) -> Act:
        """Break off."""
        return Refuse(answer=End.CLOSE if self.close else End.RESET)


@dataclass(frozen=True, kw_only=True)
class LoseReply(Fault):
    """Forward the request, which is applied, then break the connection without an answer."""

    close: bool = False
    """Close it in good order (FIN) instead of resetting it (RST)."""

    def act(self, _call: Call, /) -> Act:
        """Forward, then break off."""
        return Forward(change=lambda _: End.CLOSE if self.close else End.RESET)


ResetAfter = LoseReply


@dataclass(frozen=True, kw_only=True)
class _Spoilt(Fault):
    """Forward, then spoil the answer."""

    def act(self, _call: Call, /) -> Act:
        """Forward, then spoil the answer."""
        return Forward(change=self._spoil)

    @abstractmethod
    def _spoil(self, response: Response) -> Response: ...


@dataclass(frozen=True, kw_only=True)
class _Cut(_Spoilt):
    """Forward, then lose the end of the answer's body."""

    keep: float = 0.5
    """The share of the body that arrives, from 0.0 to below 1.0; rounded down to whole bytes."""

    def _check(self) -> None:
        check_below_one("keep", self.keep)

    def _whole(self, response: Response) -> tuple[Response, int]:
        """Return the answer with a right checksum, and how many bytes of it to keep."""
        return response.with_body(response.body), int(len(response.body) * self.keep)


@dataclass(frozen=True, kw_only=True)
class TruncateBody(_Cut):
    """Forward, then cut the answer's body; HTTP does not show it, only the whole body's checksum does."""

    def _spoil(self, response: Response) -> Response:
        whole, kept = self._whole(response)
        return replace(whole, body=whole.body[:kept])


@dataclass(frozen=True, kw_only=True)
class ShortBody(_Cut):
    """Forward, then close the connection in the middle of the answer's body: short of `Content-Length`."""

    def _spoil(self, response: Response) -> Response:
        whole, kept = self._whole(response)
        return replace(whole, cut=kept)


@dataclass(frozen=True, kw_only=True)
class BadCrc(_Spoilt):
    """Forward, then give a checksum that does not fit the answer's body."""

    def _spoil(self, response: Response) -> Response:
        wrong = int(header(response.headers, "x-amz-crc32") or crc32(response.body)) ^ 0xFFFFFFFF
        return response.with_header("x-amz-crc32", str(wrong))


@dataclass(frozen=True, kw_only=True)
class BadJson(_Spoilt):
    """Forward, then answer HTTP 200 with a body that is not JSON, whatever the upstream said."""

    body: bytes = b'{"Item": {'
    crc: bool = True
    """Send the checksum of that body; False: send none."""

    def _check(self) -> None:
        check_bytes("body", self.body)

    def _spoil(self, response: Response) -> Response:
        spoilt = replace(response, status=200).with_body(self.body)
        return spoilt if self.crc else spoilt.with_header("x-amz-crc32", None)


@dataclass(frozen=True, kw_only=True)
class BadUtf8(_Spoilt):
    """Forward, then put a byte into the answer's body that is no UTF-8 anywhere. An empty body goes unharmed."""

    at: float = 0.5
    """Where, as a share of the body, from 0.0 to below 1.0."""
    crc: bool = False
    """Send the checksum of the spoilt body; False: send none."""

    def _check(self) -> None:
        check_below_one("at", self.at)

    def _spoil(self, response: Response) -> Response:
        body = bytearray(response.body)
        if body:
            body[int(len(body) * self.at)] = _NEVER_IN_UTF8
        spoilt = response.with_body(bytes(body))
        return spoilt if self.crc else spoilt.with_header("x-amz-crc32", None)


@dataclass(frozen=True, kw_only=True)
class ForeignAnswer(Fault):
    """Answer for a gateway or a captive portal: 200, and no header of DynamoDB's. Nothing is forwarded."""

    body: bytes = b'{"message": "Please log in"}'
    """What it says, in whatever form."""
    content_type: str = "application/json"
    """The header `Content-Type`."""

    def _check(self) -> None:
        check_bytes("body", self.body)
        check_text("content_type", self.content_type)

    def act(self, _call: Call, /) -> Act:
        """Answer for what stands before the service."""
        headers = (("Content-Type", self.content_type),)
        return Refuse(answer=Response(status=200, headers=headers, body=self.body))


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """Answer that the request must be sent elsewhere, as a gateway does. Nothing is forwarded."""

    location: str
    """The URL in the header `Location`."""
    status: int = 307
    """HTTP status, 300 to 399."""

    def _check(self) -> None:
        check_text("location", self.location)
        check_whole("status", self.status, least=300, most=399)

    def act(self, _call: Call, /) -> Act:
        """Answer for what stands before the service."""
        return Refuse(answer=Response(status=self.status, headers=(("Location", self.location),), body=b""))


@dataclass(frozen=True, kw_only=True)
class InterimAnswer(Fault):
    """Forward, and send an interim answer before the real one, which is unharmed."""

    status: int = 103
    """HTTP status, 100 to 199."""
    seconds: float = 0.0
    """How long the real answer then takes, in real seconds."""

    def _check(self) -> None:
        check_whole("status", self.status, least=100, most=199)
        check_number("seconds", self.seconds, 0)

    def act(self, _call: Call, /) -> Act:
        """Forward, then answer twice."""
        return Forward(change=lambda response: replace(response, interim=self.status, late=self.seconds))


@dataclass(frozen=True, kw_only=True)
class HtmlError(Fault):
    """Refuse as a load balancer does: HTML, no request id, no checksum. Nothing is forwarded."""

    status: int = 503
    """HTTP status, 400 to 599."""
    empty: bool = False
    """Send no body at all."""

    def _check(self) -> None:
        check_whole("status", self.status, least=400, most=599)

    def act(self, _call: Call, /) -> Act:
        """Answer for what stands before the service."""
        body = b"" if self.empty else b"<html><body><h1>%d</h1></body></html>" % self.status
        return Refuse(answer=Response(status=self.status, headers=(("Content-Type", "text/html"),), body=body))
