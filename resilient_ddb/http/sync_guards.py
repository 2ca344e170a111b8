"""What lies between botocore and the wire: whether all of it is as it was made.

Recorders, tracers and mocks put their own functions and classes there (vcrpy, Sentry, httpretty, OpenTelemetry). They
must see every request, so that none may go past them. Whatever is reached by name at the time it is needed (the
lookup of names, urllib3's TLS) is not among these: what stands in for it is called.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from operator import attrgetter
from types import FunctionType

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


def _as_made() -> Callable[[], bool]:
    """Return what says whether all is as it was made; never, if a part was replaced before this library was loaded."""
    places = Parts(
        functions=_PARTS,
        aws=botocore.awsrequest,
        pools=urllib3.connectionpool,
        urllib=urllib3.connection,
        http=http.client,
        socket=socket,
    )
    functions = [f"functions.{name}" for name in _FUNCTIONS]
    try:
        found = [attrgetter(name)(places) for name in functions]
    except AttributeError:  # an SDK that is built otherwise
        return _never
    classes = [attrgetter(name)(places) for name in _CLASSES]
    sound = all(type(function) is FunctionType and home_of(function) in _HOMES for function in found)
    if sound and all(cls.__module__ == home for cls, home in zip(classes, _CLASSES.values(), strict=True)):
        return sameness([*functions, *_CLASSES], [*found, *classes], places)
    return _never


def _never() -> bool:
    return False


is_untouched = _as_made()
"""Returns whether nothing between botocore and the wire was replaced or wrapped."""
