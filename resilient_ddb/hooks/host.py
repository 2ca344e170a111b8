"""What a core needs of its client, apart from calls: the part that is the same for sync and async clients."""

from __future__ import annotations

import inspect
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from resilient_ddb.calls.core import Core
from resilient_ddb.calls.flows import Flow
from resilient_ddb.codec.values import item_as_native
from resilient_ddb.dynamodb.operations import table_of
from resilient_ddb.http.fast_path import Counters
from resilient_ddb.policy.arguments import NOT_GIVEN, NotGiven
from resilient_ddb.policy.forks import tell_child
from resilient_ddb.policy.living import living
from resilient_ddb.policy.policy import Policy, Timeouts

from . import handlers as hooks
from . import shortcuts
from .config import check_client, config_beside, policy_from_config, with_timeouts, with_ttl
from .listeners import Listeners
from .values import ValueHandlers

if TYPE_CHECKING:
    from resilient_ddb.calls.execution import Execution
    from resilient_ddb.ttl.rule import TimeToLive
    from resilient_ddb.ttl.tables import TtlTables

    from .plain_calls import PlainCall, PlainCalls

_EXPIRED = timedelta(minutes=1)


class _Hardening:
    """Whose turn it is to harden a client."""

    def __init__(self) -> None:
        self._in_child()
        tell_child(self)

    def _in_child(self) -> None:
        """Begin anew in a forked process: a thread of the parent may have had its turn."""
        self.lock = threading.RLock()


_HARDENING = _Hardening()


class ClientHost(ABC):
    """The client, as its core sees it."""

    client_class: type
    """What is mixed into the classes of clients."""
    run: Callable[[Flow[Any]], Any]
    """Runs a flow: at once, or returning what must be awaited."""
    signer_class: Any
    """The SDK's own signer of requests, None if it has none of that name. See `shortcuts`."""
    resolver_class: Any
    """The SDK's own resolver of endpoints, likewise."""
    values_class: type[ValueHandlers] = ValueHandlers
    new_refresh_lock: Callable[[], Any]
    """Makes the lock under which the SDK's credentials are refreshed."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.region: str | None = client.meta.region_name
        """The region that the client asks."""
        self.native = False
        """Whether the client takes and gives native values."""
        self.values = self.values_class()
        own = (hooks.response_received, hooks.needs_retry)
        self.listeners = Listeners(self.values.read, self.values.values_out, own)
        self.config: Config | None = None
        """The Config that the client was made with, if this library made it."""
        self.verify: bool | str | None = None
        """Which certificates are trusted, as the client was told: none (False), or those of a file. None: the usual."""
        self.siblings: dict[tuple[str, str | None], Any] = {}
        self.flights: dict[Any, tuple[object, Any, Any]] = {}
        """Who asks for what just now, the event that says that it has ended, and the thread, or task, that asks.

        See `single_flight`. An observer, or a handler on the SDK's events, may call the very table that its own thread
        is asking about: it would wait for itself.
        """
        self.lock = threading.Lock()
        self.transport = Counters()
        """What this library's own transport took, and what it left to the SDK's."""
        self._plain_calls: PlainCalls | None = None
        self._was_called = False
        tell_child(self)

    @classmethod
    def harden(cls, client: Any, policy: Policy | None, *, native: bool = False) -> Any:
        """Harden a client that was made by others. The policy's timeouts hold as if it was set later.

        Raises as `install`.
        """
        is_new = getattr(client, "_resilience", None) is None
        hardened = cls.install(client, policy, native=native)
        if is_new and policy is not None and policy.timeouts != Timeouts():
            hardened._resilience.timeouts = policy.timeouts  # noqa: SLF001 - the attribute is this library's own
        return hardened

    @classmethod
    def install(cls, client: Any, policy: Policy | None, *, native: bool = False) -> Any:
        """Harden a client that exists, and return it. Of one that is hardened, only the policy is set, if it is given.

        Its own Config says its timeouts.

        Raises:
            ValueError: the client can't be hardened: another service's, or one in adaptive mode.
        """
        check_client(client)
        with _HARDENING.lock:  # threads that share a client may each harden it as they begin
            core = getattr(client, "_resilience", None)
            if core is None:
                core = Core(policy or policy_from_config(client.meta.config), cls(client))
                client._resilience = core  # noqa: SLF001 - the attribute is this library's own
            elif policy is not None:
                set_policy(client, policy)
            if not isinstance(client, cls.client_class):  # now that a call of another thread finds its core
                made = type(client)
                client.__class__ = type(made.__name__, (cls.client_class, made), {"__module__": made.__module__})
            host: Any = core.host
            hooks.register(client.meta.events)
            host.values.register(client.meta.events)
            shortcuts.take(client, host)
            host.take_connections(getattr(client._endpoint, "http_session", None))  # noqa: SLF001 - there is no public way
        if native:
            host.use_native_values()
        return client

    @classmethod
    def install_on_own(
        cls, client: Any, policy: Policy | None, config: Config, arguments: Mapping[str, Any], ttl: TtlTables | None
    ) -> Any:
        """Harden a client that this library has made of a Config and further arguments, and return it."""
        hardened = cls.install(client, policy)
        core = hardened._resilience  # noqa: SLF001 - the attribute is this library's own
        core.host.config, core.host.verify, core.ttl = config, arguments.get("verify"), ttl
        return hardened

    @classmethod
    def install_on_session(cls, session: Any, policy: Policy | None) -> None:
        """Harden what a session of botocore makes from now on; a second time, only its policy is set."""
        events = session.get_component("event_emitter")
        known = hardened_session(events)
        if known is not None:
            if policy is not None:
                known.set_policy(policy)
            return
        kept = HardenedSession(policy)

        class InstalledClient(cls.client_class):  # type: ignore[name-defined, misc]  # known as it is made
            """Hardens itself as the session makes it, before the SDK registers its retries."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                kept.clients.add(cls.install(self, kept.policy))

        def add_client_class(base_classes: list[type], **_: Any) -> None:
            base_classes.insert(0, InstalledClient)

        replace_handler(events, "creating-client-class.dynamodb", add_client_class)
        made = type(session)
        session.__class__ = type(made.__name__, (MakesClients, made), {"__module__": made.__module__})
        setattr(events, _HARDENED, kept)  # copies of an emitter, which clients have, don't have this

    def _in_child(self) -> None:
        """Begin anew in a forked process: its locks are its own, and so are its connections."""
        self.lock, self.flights = threading.Lock(), {}
        credentials = self.credentials()
        if hasattr(credentials, "_refresh_lock"):  # botocore's: a thread of the parent may be refreshing them
            credentials._refresh_lock = self.new_refresh_lock()  # noqa: SLF001 - there is no public way
        self.forget_connections()

    def begin_plain_call(self, client: Any, execution: Execution, params: Any) -> PlainCall | None:
        """Return a call that goes past the SDK's inside; None for one that goes its way. `client` may be a view."""
        found = self._plain_calls
        if found is None:
            if not self._was_called:  # it takes milliseconds to load, and the first call shows the way in any case
                self._was_called = True
                return None
            found = self._plain_calls = self.new_plain_calls()
        return found.begin(client, execution, params)

    @abstractmethod
    def new_plain_calls(self) -> PlainCalls:
        """Return what takes the client's plain calls past the SDK's inside."""

    @abstractmethod
    def lead(self, key: Any, mark: object) -> Any:
        """Return when nobody else asks for `key`, or the deadline has passed."""

    def landed(self, key: Any, mark: object) -> None:
        """End the turn of `mark`, if it has one: those who wait go on."""
        flight = self.flights.get(key)
        if flight is not None and flight[0] is mark:
            del self.flights[key]
            flight[1].set()

    @abstractmethod
    def forget_connections(self) -> None:
        """Leave the connections that are open to the parent process, which has them too."""

    def make_error(self, response: Mapping[str, Any], operation: str) -> Exception:
        """Return the client's own exception for an error response."""
        code = response.get("Error", {}).get("Code")
        error: Exception = self.client.exceptions.from_code(code)(response, operation)
        return error

    def as_given(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item of an error response, where values are always typed, in the values that the client gives."""
        return item_as_native(item) if self.native else dict(item)

    def credentials(self) -> Any:
        """Return the credentials that requests are signed with."""
        return getattr(self.client._request_signer, "_credentials", None)  # noqa: SLF001 - there is no public way

    def expire_credentials(self) -> None:
        """Refresh the credentials, if they can be, before the next request is signed.

        botocore goes by the expiry time that it was told, and has no public way to say "the service disagrees".
        Credentials without one (static keys) can't be refreshed: the retry then signs with the same ones.
        """
        credentials = self.credentials()
        if getattr(credentials, "_expiry_time", None) is not None:
            credentials._expiry_time = datetime.now(UTC) - _EXPIRED  # noqa: SLF001 - as above

    def identity(self) -> tuple[Any, ...]:
        """Return who asks whom: credentials, region, endpoint, and whether values are native."""
        credentials = self.credentials()
        # Refreshed credentials change their key with time: there the object stands for who it is.
        who = credentials if hasattr(credentials, "refresh_needed") else getattr(credentials, "access_key", None)
        meta = self.client.meta
        return (who, meta.region_name, meta.endpoint_url, self.native)

    def use_native_values(self) -> None:
        """Make the client take and return native values from now on."""
        with self.lock:
            if not self.native:
                self.values.register_native(self.client.meta.events)
                self.native = True

    @abstractmethod
    def take_connections(self, http_session: Any) -> None:
        """Make the client's HTTP session use connections that return the answers to what was sent, and no others."""

    counted: Callable[[Any], tuple[int, int] | None]
    """Return how many connections of a client are in use, and how many are idle; None if that can't be told."""

    @abstractmethod
    def elsewhere(
        self, core: Core, operation: str, params: Mapping[str, Any], region: str, endpoint_url: str | None
    ) -> Any:
        """Make a call in another region, by the policy of `core`, and mark its answer."""

    def open_siblings(self) -> list[Any]:
        """Return the clients that were opened for other regions."""
        return list(self.siblings.values())

    def follow_policy(self) -> None:
        """Make the connections, and the clients for other regions, follow the client's policy."""
        self.take_connections(getattr(self.client._endpoint, "http_session", None))  # noqa: SLF001 - there is no public way
        policy = self.client._resilience.policy_elsewhere()  # noqa: SLF001 - this library's own
        for sibling in self.open_siblings():
            set_policy(sibling, policy)

    def recipe(self, timeouts: Timeouts | None) -> dict[str, Any]:
        """Return the arguments for a client like this one in another process. Never credentials.

        `timeouts` are those that hold in place of the Config's, if there are any.
        """
        meta = self.client.meta
        config = self.config
        if config is None:  # what was made of it has a User-Agent that would be added to
            supplied = getattr(meta.config, "_supplied_user_agent", None)
            config = meta.config.merge(Config(user_agent=supplied))
        return {
            "region_name": meta.region_name,
            "endpoint_url": meta.endpoint_url,
            "config": with_timeouts(config, timeouts),
            "verify": self._trusted(),
        }

    def _trusted(self) -> bool | str | None:
        """Return what the client was told as `verify`. One that was made by others only knows what it goes by."""
        if self.config is not None:
            return self.verify
        goes_by: bool | str = getattr(self.client._endpoint.http_session, "_verify", True)  # noqa: SLF001 - there is no public way
        return None if goes_by is True else goes_by

    def sibling_arguments(self, region: str, endpoint_url: str | None) -> dict[str, Any]:
        """Return `create_client`'s arguments for a client like this one in another region."""
        config = self.client.meta.config.merge(Config(region_name=region))
        return {"region_name": region, "endpoint_url": endpoint_url, "config": config, "verify": self._trusted()}


def set_policy(client: Any, policy: Policy) -> None:
    """Set the policy of a client.

    Raises:
        TypeError: it is not hardened.
    """
    core = getattr(client, "_resilience", None)
    if core is None:
        raise not_hardened(client)
    core.set_policy(policy)
    core.host.follow_policy()


def not_hardened(target: Any) -> TypeError:
    """Return the error for a target whose policy can't be set."""
    return TypeError(
        f"target must be hardened already; got a plain {type(target).__name__}: "
        "write resilient_ddb.harden(target, policy=policy), which hardens it by that policy"
    )


class HardenedSession:
    """What a hardened session makes its clients by, and those that it has made."""

    def __init__(self, policy: Policy | None) -> None:
        self.policy = policy
        self.clients: weakref.WeakSet[Any] = weakref.WeakSet()

    def set_policy(self, policy: Policy) -> None:
        """Go by another policy: what is made from now on, and what was made."""
        self.policy = policy
        for client in living(self.clients):
            set_policy(client, policy)


class MakesClients:
    """What is mixed into the class of a hardened session.

    Its DynamoDB clients have the policy's timeouts, and this library's pool size. A Config of the caller's wins. Only
    here can be seen what that says: the Config of a client that is made no longer tells which values are defaults.
    """

    def create_client(self, *args: Any, **kwargs: Any) -> Any:
        """Make a client, as the SDK does."""
        kept = hardened_session(self.get_component("event_emitter"))  # type: ignore[attr-defined]  # of the session
        create: Any = super().create_client  # type: ignore[misc]  # as above
        try:
            bound_arguments = _CREATE_CLIENT.bind(self, *args, **kwargs)
        except TypeError:
            return create(*args, **kwargs)  # which says what is wrong
        arguments = bound_arguments.arguments
        given = arguments.get("config")
        if kept is None or arguments["service_name"] != "dynamodb" or not isinstance(given, Config | None):
            return create(*args, **kwargs)
        arguments["config"] = config_beside(given, self.get_default_client_config(), kept.policy)  # type: ignore[attr-defined]  # as above
        return create(*bound_arguments.args[1:], **bound_arguments.kwargs)


_CREATE_CLIENT = inspect.signature(botocore.session.Session.create_client)


_HARDENED = "_resilient_ddb_session"


def hardened_session(events: Any) -> HardenedSession | None:
    """Return what is kept of a hardened session, by its event emitter; None if it is not hardened."""
    found: HardenedSession | None = getattr(events, _HARDENED, None)
    return found


def set_policy_of_session(session: Any, events: Any, policy: Policy) -> None:
    """Set the policy of a session, which has these events.

    Raises:
        TypeError: it is not hardened.
    """
    kept = hardened_session(events)
    if kept is None:
        raise not_hardened(session)
    kept.set_policy(policy)


def replace_handler(events: Any, event: str, handler: Callable[..., Any]) -> None:
    """Register a handler of this library's, in place of the one for the same event that a copy of events brings."""
    unique_id = f"resilient_ddb-{event}"
    events.unregister(event, unique_id=unique_id)
    events.register(event, handler, unique_id=unique_id)


def with_options(client: Any, table: str, policy: Policy | None, ttl: str | TimeToLive | NotGiven | None) -> Any:
    """Return a client, or, if a Table has options, a view of it that goes by them. See `check_options`."""
    core = made = client._resilience  # noqa: SLF001 - the attribute is this library's own
    if policy is not None:
        made = made.with_policy(policy, table)
    if ttl is not NOT_GIVEN and not (ttl is None and made.ttl is None):
        made = made.with_ttl(with_ttl(made.ttl, table, ttl))
    return client if made is core else copy_with(client, made)


def by_policy_of(core: Core, sibling: Any, operation: str, params: Mapping[str, Any]) -> Any:
    """Return a view of a client for another region that goes by the policy of `core`, as that is now."""
    view = sibling._resilience.with_policy(core.policy_elsewhere(), table_of(operation, params))  # noqa: SLF001 - this library's own
    view.timeouts = core.timeouts  # the client's own config holds in both regions
    return copy_with(sibling, view)


def copy_with(client: Any, core: Core) -> Any:
    """Return a view of a client: the same connections, events and circuits, with a core of its own."""
    view = object.__new__(type(client))
    view.__dict__.update(client.__dict__)
    view._resilience = core
    return view
