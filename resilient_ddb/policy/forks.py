"""What a forked process must not share with its parent: locks, connections, permits, leases, threads.

A lock may have been held by a thread that the child does not have. A connection is one for both: each would read the
other's answers. An object that holds such a thing asks to be told when it wakes up in a child.
"""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Protocol


class Forked(Protocol):
    """Something that has to begin anew in a forked process."""

    def _in_child(self) -> None:
        """Begin anew. It runs first of all in the child, where there is one thread: it waits for nothing."""
        ...


_held: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell_child(holder: Forked) -> None:
    """Call `holder._in_child()` in each process that is forked from now on, as long as the holder lives."""
    _held.add(holder)


def _wake_up() -> None:
    with ExitStack() as all_of_them:  # one that fails keeps none of the others from beginning anew
        for holder in list(_held):
            all_of_them.callback(holder._in_child)  # noqa: SLF001 - theirs to have, ours to call: no user should


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_wake_up)
