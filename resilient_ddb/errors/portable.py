"""Errors that survive `pickle` and `copy`: an executor, Celery or multiprocessing hands them to another process.

botocore's own reductions lose what was added to an error (`resilience`, notes, `__cause__`), and fail if it holds
its request. That request knows the client, its credentials and the item: none of these goes into a pickle.
"""

from __future__ import annotations

import pickle
import sys
import weakref
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

REDUCE = "__reduce_ex__"
"""Where `pickle` and `copy` look for how an object is reduced, before they ask its class."""
_KEPT: tuple[type[Exception], ...] = (BotoCoreError, ClientError)
_BOTOCORES = (BotoCoreError.__reduce__, HTTPClientError.__reduce__, ClientError.__reduce__)
_SDKS = ("botocore", "aiobotocore")
"""Their objects are requests, responses, clients, credentials: none of these goes along."""
_TRANSPORTS = ("aiohttp", "urllib3")
"""Their errors know the connection, and with it a proxy's password."""


def keep_whole(error: Exception) -> None:
    """Make an error of botocore's survive `pickle` and `copy`. It stays the object, and of the class, that it was."""
    if isinstance(error, _KEPT) and type(error).__reduce__ in _BOTOCORES:
        error.__dict__[REDUCE] = _Reduction(error)


def reduced(error: BaseException) -> tuple[Any, ...]:
    """Return what `pickle` and `copy` make an error anew from."""
    attributes = {name: value for name, value in error.__dict__.items() if name != REDUCE}
    return _made_anew, (_importable(type(error)), _Luggage(error.args, attributes, error.__cause__))


class _Reduction:
    """Reduces one error. It does not hold it: the error holds this."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = weakref.ref(error)

    def __call__(self, protocol: int) -> tuple[Any, ...]:
        del protocol
        error = self._error()
        assert error is not None  # noqa: S101 - it is just being reduced
        return reduced(error)


class _Luggage:
    """What an error has: in a copy as it is, in a pickle without what can't, or must not, be in one."""

    def __init__(self, args: tuple[Any, ...], attributes: dict[str, Any], cause: BaseException | None) -> None:
        self.args = args
        self.attributes = attributes
        self.cause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        cause = None if self.cause is None else _portable_error(self.cause)
        return _Luggage, (tuple(map(_portable, self.args)), _portable_members(self.attributes), cause)


def _made_anew(cls: type[Exception], luggage: _Luggage) -> Exception:
    error = cls.__new__(cls)
    error.args = luggage.args
    error.__dict__.update(luggage.attributes)
    if luggage.cause is not None:
        error.__cause__ = luggage.cause
    keep_whole(error)
    return error


def _importable(cls: type[BaseException]) -> type[BaseException]:
    """Return the nearest class that another process finds by its name: a client's own exceptions are not such."""
    return next(base for base in cls.__mro__ if issubclass(base, BaseException) and _is_found(base))


def _is_found(cls: type) -> bool:
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls


def _portable_members(members: dict[str, Any]) -> dict[str, Any]:
    return {name: _portable(value) for name, value in members.items()}


def _portable(value: Any) -> Any:
    """Return a value as it can be in a pickle; None if it can't, or must not."""
    if isinstance(value, BaseException):
        return _portable_error(value)
    if type(value) is dict:
        return _portable_members(value)
    return value if _home(value) not in _SDKS and _survives(value) else None


def _portable_error(error: BaseException) -> BaseException:
    """Return an error as it can be in a pickle: itself, or its type and text."""
    if isinstance(error, _KEPT):
        keep_whole(error)
        return error
    if _home(error) not in _TRANSPORTS and _survives(error):
        return error
    return Exception(f"{type(error).__module__}.{type(error).__qualname__}: {error}")


def _home(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _survives(value: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - what was made here
    except Exception:  # noqa: BLE001 - whatever a class makes of it
        return False
    return True
