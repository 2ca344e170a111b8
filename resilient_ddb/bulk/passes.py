"""Passes of a batch writer that made no progress: how many there may be, and how long to wait after each."""

from __future__ import annotations

import dataclasses

from resilient_ddb.policy.policy import Policy
from resilient_ddb.policy.retry import Backoff


class Passes:
    """Counts passes without any progress, and spaces them by full jitter. One with progress is never counted."""

    def __init__(self, policy: Policy, max_attempts: int | None) -> None:
        """Go by the policy's `retry`; `max_attempts` passes, if that is given."""
        self.number = 0
        """That of the present pass. A batch keeps that of the pass which it belongs to."""
        self.fruitless = 0
        """Requests without progress, up to now."""
        self._clock = policy.clock
        self._uniform = policy.uniform
        retry = policy.retry
        self._retry = (
            retry if max_attempts is None else dataclasses.replace(retry, max_attempts=max_attempts, stop=None)
        )
        self._backoff: Backoff | None = None
        self._pause = 0.0

    def made_none(self, number: int, attempts: int, given_up: Exception) -> bool:
        """Count a pass without progress, and return whether a further one may be made.

        Args:
            number: the pass that the batch belongs to.
            attempts: requests that were made for it.
            given_up: the error that a strategy of tenacity's is shown.
        """
        if number < self.number:  # sent before the last pass was over: it is counted already
            return True
        self.number += 1
        self.fruitless += attempts
        now = self._clock.monotonic()
        if self._backoff is None:
            self._backoff = Backoff(self._retry, self._uniform, now)
        delay = self._backoff.delay(self.fruitless, given_up, now)
        if delay is None:
            return False
        self._pause = delay
        return True

    def made_some(self, left: Exception | None) -> None:
        """Count anew; pause before the next pass where something was left, which the error tells."""
        self.fruitless, self._backoff = 0, None
        if left is not None:
            now = self._clock.monotonic()
            # While there is progress, the window stays what it is after a first attempt, and none is spent.
            again = dataclasses.replace(self._retry, max_attempts=2, stop=None)
            self._pause = Backoff(again, self._uniform, now).delay(1, left, now) or 0.0

    def begin_anew(self) -> None:
        """Forget what there was: a caller that goes on after an error has all passes again."""
        self.fruitless, self._backoff, self._pause = 0, None, 0.0

    def take_pause(self) -> float:
        """Return the seconds to wait before the next pass. They are waited once."""
        pause, self._pause = self._pause, 0.0
        return pause
