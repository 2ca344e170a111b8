"""Values and JSON: what boto3 and botocore do in four walks over an item, in one each way.

Whatever is out of the ordinary is left to boto3 and botocore themselves, whose answer, or error, then stands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from .engine import Engine, LazyEngine
from .requests import Check, Made, Step, compile_check, compile_making, compile_typing
from .responses import LARGE_BYTES, Reader, Sieve
from .values import UnusualError, boto3_serializes_as_usual

__all__ = ["LARGE_BYTES", "Codec", "Reader", "Sieve"]

T = TypeVar("T")


class Codec:
    """What is compiled for one client, each operation's when it is first called."""

    def __init__(self) -> None:
        self.engine: Engine = LazyEngine()
        """What reads and writes JSON."""
        self._typing: dict[str, Step | None] = {}
        self._checks: dict[str, Check | None] = {}
        self._making: dict[str, Made | None] = {}
        self._readers: dict[str, Reader | None] = {}

    def typing(self, model: Any) -> Step | None:
        """Return what types the native values in an operation's parameters; None: boto3 must do it."""
        name = model.name
        if name not in self._typing:
            self._typing[name] = _compiled(compile_typing, model.input_shape)
        return self._typing[name]

    def write(self, params: Any, model: Any) -> bytes | None:
        """Write an operation's parameters, their values typed; None: botocore must do it."""
        name = model.name
        if name not in self._checks:
            self._checks[name] = _compiled(compile_check, model.input_shape)
        check = self._checks[name]
        if check is None or not check(params):
            return None
        try:
            return self.engine.dumps(params)
        except Exception:  # noqa: BLE001 - such as a lone surrogate, for which the JSON libraries have their own errors
            return None

    def write_native(self, params: Any, model: Any) -> bytes | None:
        """Write an operation's parameters, their values native; None: boto3 and botocore must do it.

        What `typing` and `write` do with a copy, in one walk: the parameters stay as they are.
        """
        name = model.name
        if name not in self._making:
            self._making[name] = _compiled(compile_making, model.input_shape)
        make = self._making[name]
        if make is None or not boto3_serializes_as_usual():
            return None
        try:
            return self.engine.dumps(make(params))
        except Exception:  # noqa: BLE001 - whatever is unusual: boto3, or botocore, says what becomes of it
            return None

    def reader(self, model: Any) -> Reader | None:
        """Return what reads the answers to an operation; None: botocore must do it."""
        name = model.name
        if name not in self._readers:
            self._readers[name] = _compiled(partial(Reader, engine=self.engine), model.output_shape)
        return self._readers[name]


def _compiled(compile_shape: Callable[[Any], T], shape: Any) -> T | None:
    """Return what was compiled; None for a shape that is not provided for."""
    try:
        return None if shape is None else compile_shape(shape)
    except (UnusualError, RecursionError):
        return None
