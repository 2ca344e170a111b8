"""Words for numbers and errors."""

from __future__ import annotations

from botocore.exceptions import ClientError


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 item`, `2,000 items`.

    Args:
        number: how many.
        noun: the noun for one.
        plural: the noun for more; with an `s` if left out.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def code_of_error(error: BaseException) -> str:
    """Return the code of the service's error, or the class of any other."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code")
        if isinstance(code, str) and code:
            return code
    return type(error).__name__


def name_of_error(error: BaseException) -> str:
    """Return the class of an error; of botocore's general one, which says nothing, the service's code."""
    return code_of_error(error) if type(error) is ClientError else type(error).__name__


def is_failed_condition(error: BaseException) -> bool:
    """Return whether an error says that a write's condition did not hold."""
    return code_of_error(error) == "ConditionalCheckFailedException"
