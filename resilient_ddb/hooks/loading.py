"""Reading the SDK's models in half of the time, and for this library's own clients only.

botocore reads each JSON object into an OrderedDict, by a call for each. A dict keeps the order as well.
"""

from __future__ import annotations

import copy
import gzip
import json
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3.session
import botocore.session
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.regions import EndpointResolver

from resilient_ddb.codec.originals import Original

_log = logging.getLogger("botocore.loaders")
_OPENED: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}
_MODEL = ("load_service_model", "dynamodb", "service-2")
_PARTS = {
    ("boto3.session", "Session"): ("client",),
    ("botocore.session", "Session"): ("create_client", "get_component", "_get_internal_component"),
    ("botocore.loaders", "Loader"): ("load_service_model", "load_data", "load_data_with_path"),
    ("botocore.loaders", "JSONFileLoader"): ("load_file", "exists"),
}


class PlainFiles(JSONFileLoader):  # type: ignore[misc]  # botocore has no types of its own
    """botocore's, but for the dicts."""

    def load_file(self, file_path: str) -> Any:
        """Return what is in a file, whose path lacks its extension; None if there is none."""
        for extension, opened in _OPENED.items():
            path = file_path + extension
            if Path(path).is_file():
                with opened(path, "rb") as file:
                    text = file.read().decode("utf-8")
                _log.debug("Loading JSON file: %s", path)
                return json.loads(text)
        return None


def plain_loader(data_path: str | None) -> Loader:
    """Return a loader for a setting of AWS_DATA_PATH."""
    loader = create_loader(data_path)
    loader.file_loader = PlainFiles()
    return loader


def reading_plainly(session: boto3.session.Session) -> boto3.session.Session:
    """Return what makes clients as a boto3 Session does, but reads the SDK's models by a loader of our own.

    The session stays as it is. It is returned itself if it has read the model already. So is one that is not boto3's
    and botocore's own in every respect, with all that it is made of.
    """
    try:
        core = session._session  # noqa: SLF001 - boto3's Session has no public way to botocore's
        loader = core.get_component("data_loader")
        parts = (session, core, loader, loader.file_loader)
        paths = tuple(loader.search_paths)
        if (
            not all(map(_is_own, parts, _PARTS))
            or loader.extras_types != _loader_for(paths).extras_types
            or any(key[: len(_MODEL)] == _MODEL for key in loader._cache)  # noqa: SLF001 - there is no public way
        ):
            return session
    except Exception:  # noqa: BLE001 - whatever is unusual: the session itself makes the client
        return session
    made = copy.copy(session)
    made._session = _Borrowed(core, paths)  # noqa: SLF001 - as above
    return made


def _is_own(found: Any, home: tuple[str, str]) -> bool:
    """Return whether an object is of the SDK's own class, and its methods are those that the class was made with."""
    cls, methods = type(found), _PARTS[home]
    return (
        (cls.__module__, cls.__name__) == home
        and not any(method in vars(found) for method in methods)
        and Original(cls, methods, home[0], "botocore.context").stands()  # the latter has what decorates them
    )


@lru_cache(maxsize=10)
def _loader_for(paths: tuple[str, ...]) -> Loader:
    """Return the loader that all clients share whose sessions look in these places: it keeps what it has read."""
    return Loader(list(paths), PlainFiles(), include_default_search_paths=False)


@lru_cache(maxsize=10)
def _resolver_for(paths: tuple[str, ...]) -> Any:
    loader = _loader_for(paths)
    endpoints, path = loader.load_data_with_path("endpoints")
    return EndpointResolver(endpoints, uses_builtin_data=loader.is_builtin_path(path))


class _Borrowed:
    """A botocore session with our loader in the place of its own; everything else is the session's."""

    def __init__(self, session: Any, paths: tuple[str, ...]) -> None:
        vars(self).update(_session=session, _paths=paths)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._session, name, value)

    def get_component(self, name: str) -> Any:
        return _loader_for(self._paths) if name == "data_loader" else self._session.get_component(name)

    def _get_internal_component(self, name: str) -> Any:
        components = self._session._internal_components  # noqa: SLF001 - as botocore asks for them
        if name == "endpoint_resolver" and name in components._deferred:  # noqa: SLF001 - the session has none yet
            return _resolver_for(self._paths)
        return components.get_component(name)

    def create_client(self, *args: Any, **kwargs: Any) -> Any:
        return botocore.session.Session.create_client(self, *args, **kwargs)
