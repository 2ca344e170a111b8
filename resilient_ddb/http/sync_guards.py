"""What lies between botocore and the wire: whether all of it is as it was made.

Recorders, tracers and mocks put their own functions and classes there (vcrpy, Sentry, httpretty, OpenTelemetry). They
are to see every request, so that none may go past them. Whatever is reached by name at the time it is needed (the
lookup of names, urllib3's TLS) is not among these: what stands in for it is called.
"""

from __future__ import annotations

import http.client
import socket
from operator import attrgetter
from types import FunctionType
from typing import Any

import botocore.awsrequest
import botocore.httpsession
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.poolmanager
import urllib3.response

from resilient_ddb.codec.originals import Parts, home_of, sameness

_HOMES = (
    "botocore.awsrequest",
    "botocore.httpsession",
    "http.client",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3._request_methods",
    "urllib3.request",
)
_PARTS = Parts(
    session=botocore.httpsession.URLLib3Session,
    manager=urllib3.poolmanager.PoolManager,
    pool=urllib3.connectionpool.HTTPConnectionPool,
    pools=urllib3.connectionpool.HTTPSConnectionPool,
    aws=botocore.awsrequest.AWSHTTPConnection,
    awss=botocore.awsrequest.AWSHTTPSConnection,
    urllib=urllib3.connection.HTTPConnection,
    answer=urllib3.response.HTTPResponse,
    base=http.client.HTTPConnection,
    response=http.client.HTTPResponse,
)
_FUNCTIONS = (
    *("session.send", "session._get_connection_manager"),
    *("manager.connection_from_url", "manager.connection_from_host", "manager.connection_from_pool_key"),
    *("pool.urlopen", "pool._make_request", "pool._get_conn", "pool._put_conn"),
    *("pools.urlopen", "pools._make_request"),
    *("aws.request", "aws.send", "aws._send_output", "aws.endheaders", "aws.getresponse", "aws.connect"),
    *("awss.request", "awss.send", "awss.getresponse"),
    *("urllib.request", "urllib.putrequest", "urllib.putheader", "urllib.getresponse", "urllib._new_conn"),
    *("base.request", "base.putrequest", "base.putheader", "base.endheaders", "base.send"),
    *("base._send_request", "base._send_output", "base.getresponse", "base.connect", "response.begin", "response.read"),
    *("answer.stream", "answer.read"),
)
# The names under which classes are found, and the modules that they are of.
_CLASSES = {
    "aws.AWSHTTPConnectionPool.ConnectionCls": "botocore.awsrequest",
    "aws.AWSHTTPSConnectionPool.ConnectionCls": "botocore.awsrequest",
    "aws.AWSHTTPConnection": "botocore.awsrequest",
    "aws.AWSHTTPSConnection": "botocore.awsrequest",
    "pools.HTTPConnectionPool.ConnectionCls": "urllib3.connection",
    "urllib.HTTPConnection": "urllib3.connection",
    "http.HTTPConnection": "http.client",
    "http.HTTPResponse": "http.client",
    "socket.socket": "socket",
}


class _Place:
    """Something that is to be there, and may be replaced."""

    def __init__(self, root: Any, *names: str) -> None:
        self._root = root
        self.found = [attrgetter(name)(root) for name in names]
        self._are_same = sameness(names, self.found)

    def stands(self) -> bool:
        return self._are_same(self._root)


def _functions() -> _Place | None:
    try:
        place = _Place(_PARTS, *_FUNCTIONS)
    except AttributeError:  # an SDK that is built otherwise
        return None
    sound = all(type(function) is FunctionType and home_of(function) in _HOMES for function in place.found)
    return place if sound else None


def _classes() -> _Place | None:
    """Return the classes of which the parts are made; None if one was replaced before this library was loaded."""
    root = Parts(
        aws=botocore.awsrequest,
        pools=urllib3.connectionpool,
        urllib=urllib3.connection,
        http=http.client,
        socket=socket,
    )
    place = _Place(root, *_CLASSES)
    sound = all(cls.__module__ == home for cls, home in zip(place.found, _CLASSES.values(), strict=True))
    return place if sound else None


_made_functions, _made_classes = _functions(), _classes()


def is_untouched() -> bool:
    """Return whether nothing between botocore and the wire was replaced or wrapped."""
    return (
        _made_functions is not None
        and _made_classes is not None
        and _made_functions.stands()
        and _made_classes.stands()
    )
