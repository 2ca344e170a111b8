"""Values and JSON: what boto3 and botocore do in four walks over an item, in one each way.

Whatever is out of the ordinary is left to boto3 and botocore themselves, whose answer, or error, then stands.
"""

from __future__ import annotations

from typing import Any

from .engine import Engine, Warming
from .requests import Check, Step, compile_check, compile_typing
from .responses import LARGE_BYTES, Reader

__all__ = ["LARGE_BYTES", "Codec", "Reader"]


class Codec:
    """What is compiled for one client, each operation's when it is first called."""

    def __init__(self) -> None:
        """Begin with nothing compiled."""
        self.engine: Engine = Warming()
        """What reads and writes JSON."""
        self._typing: dict[str, Step] = {}
        self._checks: dict[str, Check] = {}
        self._readers: dict[str, Reader | None] = {}

    def type_values(self, params: dict[str, Any], model: Any) -> None:
        """Type the native values in an operation's parameters, in place.

        Raises:
            TypeError, decimal.DecimalException: as boto3 does.
        """
        step = self._typing.get(model.name)
        if step is None:
            step = self._typing[model.name] = compile_typing(model.input_shape)
        step(params)

    def write(self, params: Any, model: Any) -> bytes | None:
        """Write an operation's parameters, their values typed; None where that is to be left to botocore."""
        check = self._checks.get(model.name)
        if check is None:
            check = self._checks[model.name] = compile_check(model.input_shape)
        if not check(params):
            return None
        try:
            return self.engine.dumps(params)
        except Exception:  # noqa: BLE001 - such as a lone surrogate, for which the JSON libraries have their own errors
            return None

    def reader(self, model: Any) -> Reader | None:
        """Give what reads the answers to an operation; None where that is to be left to botocore."""
        try:
            return self._readers[model.name]
        except KeyError:
            pass
        try:
            reader = None if model.output_shape is None else Reader(model.output_shape, self.engine)
        except NotImplementedError:
            reader = None
        self._readers[model.name] = reader
        return reader
