"""What lies between botocore and the wire: whether all of it is as it was made.

Recorders, tracers and mocks put their own functions and classes there (vcrpy, Sentry, httpretty, OpenTelemetry). They
must see every request, so that none may go past them. Whatever is reached by name at the time it is needed (the
lookup of names, urllib3's TLS) is not among these: what stands in for it is called.
"""

from __future__ import annotations

import http.client
import socket
from types import FunctionType
from typing import Any

import botocore.awsrequest
import botocore.httpsession
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.poolmanager
import urllib3.response

from resilient_ddb.codec.originals import Parts, Place, home_of

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
    in_awsrequest=botocore.awsrequest,
    in_pool=urllib3.connectionpool,
    in_connection=urllib3.connection,
    in_http=http.client,
    in_socket=socket,
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
    "in_awsrequest.AWSHTTPConnectionPool.ConnectionCls": "botocore.awsrequest",
    "in_awsrequest.AWSHTTPSConnectionPool.ConnectionCls": "botocore.awsrequest",
    "in_awsrequest.AWSHTTPConnection": "botocore.awsrequest",
    "in_awsrequest.AWSHTTPSConnection": "botocore.awsrequest",
    "in_pool.HTTPConnectionPool.ConnectionCls": "urllib3.connection",
    "in_connection.HTTPConnection": "urllib3.connection",
    "in_http.HTTPConnection": "http.client",
    "in_http.HTTPResponse": "http.client",
    "in_socket.socket": "socket",
}


def _is_sound(name: str, found: Any) -> bool:
    if name in _CLASSES:
        return bool(found.__module__ == _CLASSES[name])
    return type(found) is FunctionType and home_of(found) in _HOMES


_MADE = Place(_PARTS, [*_FUNCTIONS, *_CLASSES], _is_sound)
"""It never stands if a part was replaced before this library was loaded."""


def is_untouched() -> bool:
    """Return whether nothing between botocore and the wire was replaced or wrapped."""
    return _MADE.stands()
