"""What lies between botocore and the wire: whether all of it is as it was made.

Recorders, tracers and mocks put their own functions and classes there (vcrpy, Sentry, httpretty, OpenTelemetry). They
must see every request, so that none may go past them. Whatever is reached by name at the time it is needed (the
lookup of names, urllib3's TLS) is not among these: what stands in for it is called.
"""

from __future__ import annotations

import http.client
import socket
from operator import attrgetter

import botocore.awsrequest
import botocore.httpsession
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.poolmanager
import urllib3.response

from resilient_ddb.codec.originals import Original, Parts, sameness

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
_functions = Original(_PARTS, _FUNCTIONS, *_HOMES)
_MODULES = Parts(
    aws=botocore.awsrequest,
    pools=urllib3.connectionpool,
    urllib=urllib3.connection,
    http=http.client,
    socket=socket,
)
# The names under which the classes of the parts are found, and the modules that they are of.
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
_classes = [attrgetter(name)(_MODULES) for name in _CLASSES]
_were_made = all(cls.__module__ == home for cls, home in zip(_classes, _CLASSES.values(), strict=True))
"""False if one was replaced before this library was loaded."""
_are_same = sameness(tuple(_CLASSES), _classes)


def is_untouched() -> bool:
    """Return whether nothing between botocore and the wire was replaced or wrapped."""
    return _were_made and _functions.stands() and _are_same(_MODULES)
