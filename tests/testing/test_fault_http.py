"""The wire handling, against an upstream and clients that are told what to say."""

import select
import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ConnectionClosedError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sdk_support import sockets_to

from resilient_ddb.testing import FaultProxy, faults


def connect(proxy):
    parts = urlsplit(proxy.endpoint_url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def get(client, pk="a"):
    return client.get_item(TableName="orders", Key={"pk": {"S": pk}})


@contextmanager
def scripted_upstream(*connections, tls=None):
    """An upstream that takes those connections, and says those answers on each, a request at a time."""
    requests = []

    def serve():
        for answers in connections:
            connection, _ = listener.accept()
            with ExitStack() as opened:
                connection = opened.enter_context(connection)
                if tls is not None:
                    connection = opened.enter_context(tls.wrap_socket(connection, server_side=True))
                stream = opened.enter_context(connection.makefile("rb"))
                for answer in answers:
                    head = list(iter(stream.readline, b"\r\n"))
                    requests.append(b"".join(head))
                    length = next(line for line in head if line.lower().startswith(b"content-length"))
                    stream.read(int(length.split(b":")[1]))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}", requests
        thread.join(5)


def test_connections_are_kept_on_both_sides(make_client):
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"] * 10
    with scripted_upstream(answers) as (url, requests), FaultProxy(url) as proxy:
        client = make_client(proxy.endpoint_url)
        for _ in range(10):
            get(client)
        assert len(requests) == 10  # all on the one connection that the upstream takes
        assert len(sockets_to(proxy.endpoint_url)) == 1


def test_a_kept_connection_that_the_upstream_closed_is_not_used_again(make_client):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with scripted_upstream([answer], [answer]) as (url, _), FaultProxy(url) as proxy:
        client = make_client(proxy.endpoint_url)
        get(client)
        [to_upstream] = sockets_to(url)
        assert select.select([to_upstream], [], [], 30)[0]  # the end is there, before the next request
        get(client)
        assert [seen.status for seen in proxy.seen] == [200, 200]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nbad\r\n\r\n",
    ],
)
def test_an_upstream_that_breaks_off(answer, make_client):
    with scripted_upstream([answer]) as (url, _), FaultProxy(url) as proxy:
        client = make_client(proxy.endpoint_url)
        with pytest.raises(ConnectionClosedError):
            get(client)
        (seen,) = proxy.seen
        assert (seen.forwarded, seen.status) == (True, None)


ITEM = b'{"Item":{"pk":{"S":"a"}}}'


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\n"
        + ITEM[:7]
        + b"\r\n12\r\n"
        + ITEM[7:]
        + b"\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + ITEM,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 25\r\n\r\n" + ITEM,
    ],
)
def test_every_framing_of_an_answer(answer, make_client):
    with scripted_upstream([answer]) as (url, requests), FaultProxy(url) as proxy:
        client = make_client(proxy.endpoint_url)
        response = get(client)
    assert response["Item"] == {"pk": {"S": "a"}}
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-length"] == "25"
    assert f"Host: {urlsplit(url).netloc}\r\n".encode() in requests[0]
    assert b"onnection:" not in requests[0]


def test_a_request_in_chunks_and_what_is_no_call(world):
    world.proxy.plan = [faults.Throttle()]
    with connect(world.proxy) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            b"HEAD /moto-api/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 200 OK" in received  # not a call: no fault is made, and it has no operation
    assert received.endswith(b"\r\n\r\n")
    assert [(seen.operation, seen.fault) for seen in world.proxy.seen] == [
        ("ListTables", "Throttle"),
        ("", None),
    ]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"x" * 2**21,
    ],
)
def test_a_client_that_does_not_speak_http_is_cut_off(world, request_bytes):
    with connect(world.proxy) as client:
        try:
            client.sendall(request_bytes)
            assert client.recv(100) == b""
        except ConnectionError:
            pass
    assert world.proxy.seen == ()
    world.get()


def test_a_client_that_leaves_in_the_middle(world):
    for part in (b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"):
        with connect(world.proxy) as client:
            client.sendall(part)
    world.get()
    assert world.proxy.count() == 1


def test_large_bodies(world):
    text = "x" * 300_000
    for pk in "abc":
        world.put(pk, text={"S": text})
    world.proxy.plan = [faults.Delay(seconds=0)]
    items = world.client.scan(TableName="orders")["Items"]
    assert [len(item["text"]["S"]) for item in items] == [300_000] * 3


def self_signed(folder):
    """Write a certificate for 127.0.0.1 and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_an_upstream_with_tls(make_client, tmp_path, monkeypatch):
    path = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n" + ITEM
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with (
        scripted_upstream([answer, answer], tls=context) as (url, requests),
        FaultProxy(url, plan=[faults.LoseReply(every=2)]) as proxy,
    ):
        client = make_client(proxy.endpoint_url)
        assert get(client)["Item"] == {"pk": {"S": "a"}}
        with pytest.raises(ConnectionClosedError):
            get(client)
        assert len(requests) == 2
