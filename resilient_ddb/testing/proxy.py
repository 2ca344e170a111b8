"""A server between a DynamoDB client and an endpoint that makes faults by a plan."""

from __future__ import annotations

import asyncio
import secrets
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from resilient_ddb.dynamodb.operations import params_on_the_wire
from resilient_ddb.events import explained
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.checks import check_whole
from resilient_ddb.policy.clock import SYSTEM_CLOCK

from . import wire
from .calls import Call
from .messages import Request, Response, error_answer
from .plan import Act, Answer, End, Fault, Forward, Plan, Refuse, check_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resilient_ddb.policy.clock import Clock

_BAD_GATEWAY = 502


@explained
@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that reached the proxy, and what became of it."""

    at: float
    """When it arrived, on the proxy's clock."""
    operation: str
    """Such as `GetItem`; empty for what is not a call of the API."""
    table: str | None
    """The one table that it names; None if it names none, or several."""
    fault: str | None
    """The name of the fault's class; None if it met none."""
    forwarded: bool = False
    """Whether it, or a part of a batch, was sent to the upstream."""
    status: int | None = None
    """The HTTP status that the client was sent; None if none was, or not yet."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The request's JSON, with all its values: never log it where they are not for everyone's eyes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The request's headers, their names in lower case."""


class FaultProxy:
    """Stand between a DynamoDB client and an endpoint, and make faults on the wire.

    Give its `endpoint_url` to any client, sync or async, in this process or another. It runs on an event
    loop in a thread of its own, so it never shares one with the test. Requests are not signed anew: the
    upstream has to be an emulator, which does not check signatures.

    `upstream` is the URL of the endpoint, `http://` or `https://`. `plan` holds the faults; the first that
    matches a request and hits decides, and what meets none is passed on unharmed. `seed` makes `rate` draw
    the same again. `clock` times `Outage` and `PartitionCapacity` (None: the machine's clock; a `FakeClock`
    never waits). `host` and `port` say where to listen; by default on a free port of the loopback.

    Use it as a context manager, plain or async, or call `start` and `stop`. It can be started again.

        with FaultProxy("http://127.0.0.1:8000", plan=[faults.Throttle(rate=0.2)], seed=1) as proxy:
            dynamodb = boto3.resource("dynamodb", endpoint_url=proxy.endpoint_url)

    An upstream that cannot be reached gives the client HTTP 502 with `UpstreamUnreachable`; one that breaks
    off gives it a reset connection. Raises `ValueError` or `TypeError` for a setting that cannot be meant.
    """

    @names_checked
    def __init__(
        self,
        upstream: str,
        *,
        plan: Sequence[Fault] = (),
        seed: int = 0,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Check the settings; nothing listens before `start`."""
        wire.Upstream(upstream)  # checks it; each start makes one of its own
        check_whole("port", port, least=0, most=65535)
        check_text("host", host)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number; got {seed!r}")
        self.upstream = upstream
        self._seed = seed
        self._clock = SYSTEM_CLOCK if clock is None else clock
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._seen: dict[int, Seen] = {}
        self._serials = count()
        self._set_plan(plan)
        self._server: _Server | None = None

    @property
    def endpoint_url(self) -> str:
        """The URL for a client's `endpoint_url`. Raises `RuntimeError` while the proxy is not started."""
        if self._server is None:
            raise RuntimeError("the proxy has no endpoint_url before it is started; use it in a with block")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.port}"

    @property
    def plan(self) -> tuple[Fault, ...]:
        """The faults. Another plan can be set at any time: counters, dice and time then start anew."""
        return self._plan.faults

    @plan.setter
    def plan(self, plan: Sequence[Fault]) -> None:
        self._set_plan(plan)

    def _set_plan(self, plan: Sequence[Fault]) -> None:
        made = Plan(plan, self._seed)
        with self._lock:
            self._plan = made
            self._since = self._clock.monotonic()

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The requests that arrived, in order of arrival. Those under way have no status yet."""
        with self._lock:
            return tuple(self._seen.values())

    def count(self, operation: str | None = None, fault: str | type[Fault] | None = None) -> int:
        """Count the requests seen of an operation (None: all), or that met a fault (None: or none)."""
        name = fault.__name__ if isinstance(fault, type) else fault
        return sum(operation in {None, seen.operation} and name in {None, seen.fault} for seen in self.seen)

    def clear(self) -> None:
        """Forget what was seen. The plan's counters go on."""
        with self._lock:
            self._seen = {}

    def start(self) -> None:
        """Listen, with the plan's counters at zero.

        Raises `RuntimeError` if it is started already, `OSError` if the address cannot be had.
        """
        if self._server is not None:
            raise RuntimeError("the proxy is started already; stop it first")
        self._set_plan(self.plan)
        server = _Server(self)
        server.start(self._host, self._port)
        self._server = server

    def stop(self) -> None:
        """Break every connection and free the port. A proxy that is not started stays so."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start, without holding up the caller's event loop."""
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, without holding up the caller's event loop."""
        await asyncio.to_thread(self.stop)

    def __repr__(self) -> str:
        """Return a text that says where it listens, and where it leads."""
        where = "stopped" if self._server is None else self.endpoint_url
        return f"<FaultProxy {where} -> {self.upstream}>"

    def _decide(self, request: Request) -> tuple[int, Act]:
        """Note a request's arrival and say what to do with it."""
        params = params_on_the_wire(request.body)
        headers = {name.lower(): value for name, value in request.headers}
        with self._lock:
            now = self._clock.monotonic()
            call = Call(
                operation=request.operation,
                params=params,
                at=now - self._since,
                request_id=secrets.token_hex(26).upper(),
            )
            act, fault = self._plan.decide(call) if call.operation else (Forward(), None)
            serial = next(self._serials)
            self._seen[serial] = Seen(
                at=now,
                operation=call.operation,
                table=call.table,
                fault=fault,
                params=params,
                headers=headers,
            )
        return serial, act

    def _note(self, serial: int, *, forwarded: bool | None = None, status: int | None = None) -> None:
        """Note what became of a request, unless it was forgotten meanwhile."""
        with self._lock:
            seen = self._seen.get(serial)
            if seen is not None:
                known = seen.forwarded if forwarded is None else forwarded
                self._seen[serial] = replace(seen, forwarded=known, status=status)


class _Server:
    """One run of the proxy: a thread, its event loop and the connections on it."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._listening: Future[int] = Future()
        self._upstream = wire.Upstream(proxy.upstream)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.port = 0

    def start(self, host: str, port: int) -> None:
        self._thread = threading.Thread(target=self._main, args=(host, port), name="FaultProxy", daemon=True)
        self._thread.start()
        try:
            self.port = self._listening.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _main(self, host: str, port: int) -> None:
        try:
            asyncio.run(self._run(host, port))
        finally:
            if not self._listening.done():  # the loop itself failed: `start` must not wait for ever
                self._listening.set_exception(RuntimeError("the proxy's event loop could not be started"))

    async def _run(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await asyncio.start_server(self._accept, host, port, limit=wire.HEAD_LIMIT)
        except (OSError, ValueError) as error:
            self._listening.set_exception(error)
            return
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._upstream.close()
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping.is_set():
            writer.transport.abort()
            return
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        try:
            while (request := await wire.read_request(reader)) is not None:
                if not await self._exchange(request, reader, writer):
                    break
        except (OSError, EOFError, wire.ProtocolError):
            pass  # the client left in the middle, or does not speak HTTP: nobody is there to be told
        finally:
            await wire.hang_up(writer)

    async def _exchange(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection can take another."""
        serial, act = self._proxy._decide(request)  # noqa: SLF001 - the proxy's other half
        answer = act.answer if isinstance(act, Refuse) else await self._forward(serial, request, act)
        if isinstance(answer, Response):
            self._proxy._note(serial, status=answer.status)  # noqa: SLF001 - as above
            return await wire.send_response(writer, request, answer)
        if answer is End.RESET:
            wire.reset(writer)
        elif answer is End.HANG:
            while await reader.read(2**16):
                pass  # what the client still says is not heard
        return False

    async def _forward(self, serial: int, request: Request, act: Forward) -> Answer:
        if act.delay:
            await asyncio.sleep(act.delay)
        self._proxy._note(serial, forwarded=True)  # noqa: SLF001 - as above
        try:
            response = await self._upstream.exchange(wire.with_body(request, act.body))
        except wire.UnreachableError as error:
            self._proxy._note(serial, forwarded=False)  # noqa: SLF001 - as above
            return error_answer(_BAD_GATEWAY, "UpstreamUnreachable", str(error), request_id="")
        except wire.BrokenUpstreamError:
            return End.RESET
        return act.change(response)
