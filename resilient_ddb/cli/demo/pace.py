"""How fast the demo asks: no faster than the emulator on this machine answers, so that waits are the clients'. Pure.

Where calls come faster than they are answered, they queue, and every wait that is shown would be the emulator's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from .figures import duration
from .scenario import CALLS_PER_SECOND, WORKERS, Planned

_ROOM = 2.0
"""How many times faster than it is asked the emulator has to be: there are retries, and rows that arrive."""
_LEAST_ROOM = 1.2
_MOST_OWN_WAIT = 0.25
"""The largest share of a p99 wait that may be the machine's."""
LEAST_PER_SECOND = 25.0
"""So slow at most: the demo takes four times as long then."""


def capacity(
    send: Callable[[Planned], object],
    calls: Sequence[Planned],
    clock: Callable[[], float],
    *,
    seconds: float,
    workers: int = WORKERS,
) -> float:
    """Return how many calls a second are answered if they are made as fast as it goes, for so many seconds."""
    waiting, turn, begun = cycle(calls), threading.Lock(), clock()

    def work(_: int) -> int:
        made = 0
        while clock() - begun < seconds:
            with turn:
                planned = next(waiting)
            send(planned)
            made += 1
        return made

    with ThreadPoolExecutor(workers) as pool:
        answered = sum(pool.map(work, range(workers)))
    return answered / max(clock() - begun, seconds)


def calls_per_second(answered: float) -> float:
    """Return how many calls to make a second, given how many the emulator answers."""
    return min(CALLS_PER_SECOND, max(LEAST_PER_SECOND, answered / _ROOM // 1))


def note_before(answered: float, chosen: float) -> str | None:
    """Return what to say of a pace before anything is run; None: nothing."""
    if chosen >= CALLS_PER_SECOND:
        return None
    if answered < chosen * _LEAST_ROOM:
        return (
            f"The emulator can't keep up on this machine: it answers {answered:.0f} calls a second. Calls are made at "
            f"{chosen:.0f} a second instead of {CALLS_PER_SECOND:.0f}. The median wait and the p99 wait mean nothing "
            "here: they are the emulator's in large part."
        )
    return (
        f"The emulator is slow on this machine: it answers {answered:.0f} calls a second. Calls are made at "
        f"{chosen:.0f} a second instead of {CALLS_PER_SECOND:.0f}, so that waits are the clients', not the emulator's."
    )


def note_after(answered: float, chosen: float) -> str | None:
    """Return what to say of a pace when all was run; None: nothing."""
    if answered >= chosen * _LEAST_ROOM:
        return None
    return (
        f"The emulator could not keep up: at the end it answered {answered:.0f} calls a second without any trouble, "
        f"and was asked for {chosen:.0f}. The median wait and the p99 wait mean nothing here: they are this machine's "
        "in part, with both clients."
    )


def note_waits(quiet: float, troubled: float) -> str | None:
    """Return what to say of waits; None: nothing.

    Args:
        quiet: the p99 wait without any trouble, in seconds.
        troubled: the least p99 wait that is shown.
    """
    if quiet <= troubled * _MOST_OWN_WAIT:
        return None
    return (
        f"This machine is busy: without any trouble, 99% of the calls took up to {duration(quiet)}. "
        "As much of a p99 wait may be this machine's, and not the client's."
    )
