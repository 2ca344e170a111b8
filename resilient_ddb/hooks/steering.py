"""Circuits in a person's hand: looked at, held open or closed, and released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from resilient_ddb.calls.circuit import CLOSED, OPEN, Circuit, Forced, Held
from resilient_ddb.calls.core import Core, circuit_name
from resilient_ddb.policy.arguments import names_checked
from resilient_ddb.policy.policy import Policy

from .targets import Target, target_of

KINDS = ("read", "write", "control")


class CircuitHandle:
    """One circuit of a client, by its name."""

    def __init__(self, name: str, target: Target) -> None:
        self._target = target
        self.name = name
        """The circuit's name: `table/read`, `table/write` or `table/control`."""

    @property
    def state(self) -> str:
        """Return `closed`, `open` or `half-open`; one that has had no call yet is closed, if it is not forced."""
        forced, circuit = self._forced, self._circuit
        if forced is not None:
            return forced.state
        return CLOSED if circuit is None else circuit.standing

    @property
    def reason(self) -> str:
        """Return why it is in that state; empty if it is closed and not forced."""
        forced, circuit = self._forced, self._circuit
        if forced is not None:
            return forced.reason
        return "" if circuit is None else str(circuit.facts()["reason"])

    @property
    def forced(self) -> bool:
        """Return whether a person holds it in its state."""
        return self._forced is not None

    @names_checked
    def force_open(self, reason: str) -> None:
        """Refuse every call from now on, with a `CircuitOpenError` that says `reason`, until `release`.

        Attempts under way go on; what they say is dropped.

        Raises:
            TypeError, ValueError: `reason` is no text, or empty.
        """
        self._hold(Forced(OPEN, _checked(reason)))

    @names_checked
    def force_closed(self, reason: str) -> None:
        """Admit every call from now on, whatever fails, until `release`.

        Raises:
            TypeError, ValueError: `reason` is no text, or empty.
        """
        self._hold(Forced(CLOSED, _checked(reason)))

    def release(self) -> None:
        """Go by what attempts say again, from the state that they had come to and with an empty window."""
        self._hold(None)

    @property
    def _forced(self) -> Forced | None:
        return _forced_of(self._target).get(self.name)

    @property
    def _circuit(self) -> Circuit | None:
        found = [circuit for circuit in _circuits_of(self._target) if circuit.name == self.name]
        not_closed = (circuit for circuit in found if circuit.standing != CLOSED)
        return next(not_closed, found[0] if found else None)

    def _hold(self, forced: Forced | None) -> None:
        core = self._target.core
        if core is None:
            _beforehand(self._target).force(self.name, forced)
            core = self._target.core  # another thread may have opened the client meanwhile, and made the circuit
        if core is not None:
            core.force(self.name, forced)

    def __repr__(self) -> str:
        held = f", forced: {self.reason}" if self.forced else ""
        return f"<circuit {self.name}: {self.state}{held}>"


class Circuits(Mapping[str, CircuitHandle]):
    """The circuits of a client, by name. Of a Table: its own, also by `read`, `write` and `control`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __getitem__(self, name: str) -> CircuitHandle:
        table = self._target.table
        if table is not None and name in KINDS:
            name = circuit_name(table, name)
        names = self._names()
        if name not in names:
            there_are = f"there are {', '.join(map(repr, names))}" if names else "there is none yet"
            beforehand = "" if table is not None else "; one that has had no call yet: by circuits(table)['write']"
            raise UnknownCircuitError(f"no circuit is named {name!r}: {there_are}{beforehand}")
        return CircuitHandle(name, self._target)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"<circuits {', '.join(f'{name}: {handle.state}' for name, handle in self.items())}>"

    def _names(self) -> list[str]:
        if self._target.table is not None:
            return [circuit_name(self._target.table, kind) for kind in KINDS]
        had_calls = (circuit.name for circuit in _circuits_of(self._target))
        return sorted({*had_calls, *_forced_of(self._target)})


class UnknownCircuitError(KeyError):
    """No circuit has that name. Says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


@names_checked
def circuits(target: Any) -> Circuits:
    """Return the circuits of a hardened Table, client, resource or batch writer, by name.

    Of a client or resource: those that have had a call, or are forced. Of a Table: its own three, always. A Table with
    a policy of its own has circuits apart, of the same names. Of a client or resource, a name stands for all of them:
    its state is that of one that is not closed, if there is any. What is forced holds for all of them.
    `circuits(orders)["write"].force_open("maintenance")` has every write of `orders` refused, in all that shares the
    client, until `release()`. Another policy leaves it so. A call about several tables goes by `*/write`, or `*/read`.

    Raises:
        TypeError: the target is not hardened.
        KeyError: from `[name]`, no circuit has that name.
    """
    return Circuits(target_of(target, "circuits"))


def _circuits_of(target: Target) -> list[Circuit]:
    """Return the circuits there are: of a client or resource, also those of Tables with policies of their own."""
    core = target.core
    if core is None:
        return []
    if target.table is not None or core.own_policy is not None:
        return list(core.circuits.values())
    return [circuit for lane in core.all_lanes() if (circuit := lane.circuit) is not None]


def _forced_of(target: Target) -> Held:
    core = target.core
    held: Held = target.client.held if core is None else core.forced
    return held


def _beforehand(target: Target) -> Core:
    """Return what holds the circuits of a client that was never open, and tells of it."""
    core = Core(target.client.policy or Policy(), cast("Any", None))  # no call is made by it
    core.forced = target.client.held
    return core


def _checked(reason: Any) -> str:
    if not isinstance(reason, str):
        raise TypeError(f"reason must be text that says why, for those who see the error; got {type(reason).__name__}")
    if not reason.strip():
        raise ValueError("reason must say why, for those who see the error; got an empty text")
    return reason
