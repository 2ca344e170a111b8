"""One thread or task of the soak: what every operation shares."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from resilient_ddb import CircuitOpenError

from .model import Fault, Register, Told
from .sides import Side
from .told import code_of, complaint, may_come_again, told_by, words_of
from .world import Shelf, World

_CUT_SHORT = 0.04
"""The share of calls that get a deadline, or are cancelled."""
_LINES = 12
_REFUSED_SECONDS = 0.05
_SETTLES = 0.8
"""The share of uncertain writes after which a worker waits until nothing of them is in the air."""

Call = Callable[[], Coroutine[Any, Any, Any]]


class Worker:
    """Does one operation after the other, drawn by its own seeded chance."""

    def __init__(self, world: World, side: Side, seed: str) -> None:
        """Work on one side of a world."""
        self.world = world
        self.side = side
        self.chance = random.Random(seed)
        self.own: dict[str, list[Shelf]] = {}
        """The shelves that only this worker writes, by their place."""
        self._is_refused = False

    async def work(self, operations: Sequence[tuple[Operation, int]], is_over: Callable[[], bool]) -> None:
        """Do operations until it is over. `operations` have weights, by which they are drawn."""
        chosen, weights = zip(*operations, strict=True)
        while not is_over():
            [operation] = self.chance.choices(chosen, weights)
            await operation(self)
            if self._is_refused:  # an open circuit refuses at once: let others work meanwhile
                self._is_refused = False
                await self.side.sleep(_REFUSED_SECONDS)

    # Calls.

    async def write(self, name: str, call: Call) -> tuple[Told, Any]:
        """Make a write, and return what is told of it, with the answer or the error."""
        try:
            answer = await self._cut_short(call)
        except Exception as error:  # noqa: BLE001 - whatever leaves the library is looked at
            self.blame(name, error)
            self.world.note(self.side.name, name, told := told_by(error))
            return told, error
        self.world.note(self.side.name, name, Told.APPLIED)
        return Told.APPLIED, answer

    async def read(self, name: str, call: Call) -> Any:
        """Make a read, and return its answer; None where there is none."""
        try:
            answer = await self._cut_short(call)
        except Exception as error:  # noqa: BLE001 - whatever leaves the library is looked at
            self.blame(name, error)
            self.world.note(self.side.name, name, "failed")
            return None
        self.world.note(self.side.name, name, "answered")
        return answer

    async def _cut_short(self, call: Call) -> Any:
        if self.chance.random() < _CUT_SHORT:
            return await self.side.within(self.chance.uniform(0.005, 0.6), call())
        return await call()

    def blame(self, name: str, error: BaseException) -> None:
        """Count an error, and report one that the library should not raise."""
        with self.world.book.lock:
            self.world.errors[f"{type(error).__name__} ({code_of(error)})"] += 1
        self._is_refused = isinstance(error, CircuitOpenError)
        text = complaint(error)
        if text is not None:
            where = traceback.format_exception(error)
            self.world.book.report(Fault.WRONG, self.by(name), text, where[-_LINES:])

    def part(self, name: str, answer: Mapping[str, Any], member: str) -> Any:
        """Return what an answer must have; where it has not, report that, and return None."""
        if member not in answer:
            self.world.book.report(Fault.WRONG, self.by(name), f"an answer that has no {member} was given as whole")
        return answer.get(member)

    def by(self, name: str) -> str:
        """Return who did something, for a finding."""
        return f"{self.side.name} {name}"

    # What is uncertain.

    async def settle(self, *registers: Register) -> None:
        """Often wait until nothing of the last writes of these registers is in the air."""
        if registers and self.chance.random() < _SETTLES:
            marks = [register.name.rpartition("/")[2] for register in registers]
            await self.side.wait_for(self.world.relay.settled(*marks))
            for register in registers:
                register.settled()

    async def end(self, register: Register, value: int | None, told: Told, answer: Any) -> None:
        """Note how the write of one register ended."""
        again = told is Told.APPLIED and may_come_again(answer)
        register.ended([value], told, may_come_again=again, how=words_of(answer))
        if again or told is Told.UNSURE:
            await self.settle(register)


Operation = Callable[[Worker], Coroutine[Any, Any, None]]
