"""Object storage on this machine (moto) behind a proxy that can make its calls fail."""

from __future__ import annotations

import logging
import re
import socket
import socketserver
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

BUCKET = "chaos"
LOOPBACK = "127.0.0.1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "chaos",
    "AWS_SECRET_ACCESS_KEY": "chaos",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_REQUEST = re.compile(rb"(?:GET|PUT|POST|HEAD|DELETE) /\S* HTTP/1\.1\r\n")
_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(_BODY)).encode() + b"\r\n\r\n"
)

# Fates of a request: answered with 503, cut off within the answer, or not answered.
Fault = Literal["error", "cut", "outage"]


@dataclass
class Bucket:
    """A bucket whose users talk to it through our proxy."""

    address: str = LOOPBACK  # of the proxy
    requests: int = 0
    spoilt: int = 0  # requests that were made to fail
    fault: Fault | None = None
    first: int = 0  # range of requests that fail, counted from 1
    last: int = 0
    held: int = 0  # requests that came during the latest silence
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Bucket:
        import boto3
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it prints every request
        self._voice = threading.Event()
        self._voice.set()
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._upstream = self._moto.get_host_and_port()
        bucket = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                bucket.serve(self.request)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self._proxy = socketserver.ThreadingTCPServer((self.address, 0), Handler)
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        port = self._proxy.server_address[1]
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://{self.address}:{port}"}
        self._client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="chaos",
            aws_secret_access_key="chaos",
        )
        self._client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *error: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    @property
    def url(self) -> str:
        """URL of the server itself, without the proxy."""
        host, port = self._upstream
        return f"http://{host}:{port}"

    def names(self, prefix: str) -> Iterable[str]:
        """List relative names of all files below a prefix."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
            for item in page.get("Contents", ()):
                yield item["Key"][len(prefix) + 1 :]

    def read(self, name: str) -> bytes:
        """Read a small file past the proxy; b"" if it is not there."""
        from botocore.exceptions import ClientError

        try:
            data: bytes = self._client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        except ClientError:
            return b""
        return data

    def fall_silent(self) -> None:
        """Take requests and answer none, as a server that is stopped: it will do them later."""
        self.held = 0
        self._voice.clear()

    def spoil(self, fault: Fault, first: int, count: int) -> None:
        """Make `count` requests fail, from the `first` one from now on."""
        self.requests = self.spoilt = 0
        self.first, self.last, self.fault = first, first + count - 1, fault

    def heal(self) -> None:
        """Let every request through again, those that wait first."""
        self.fault = None
        self._voice.set()

    def serve(self, client: socket.socket) -> None:
        """Serve one connection: pass bytes both ways, until a request that must fail."""
        with socket.create_connection(self._upstream) as server, suppress(OSError):
            broken = threading.Event()
            back = threading.Thread(
                target=self._answers, args=(server, client, broken), daemon=True
            )
            back.start()
            while data := client.recv(1 << 16):
                self._heed_silence(data)
                fault = self._fault_of(data)
                if fault == "error":
                    head = data.startswith(b"HEAD")  # its answers have no body
                    client.sendall(_SLOW_DOWN if head else _SLOW_DOWN + _BODY)
                    break
                if fault == "outage":
                    break
                if fault == "cut":
                    broken.set()
                server.sendall(data)
            _close(client)

    def _answers(
        self, server: socket.socket, client: socket.socket, broken: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                self._voice.wait()
                client.sendall(data[: len(data) // 2] if broken.is_set() else data)
                if broken.is_set():
                    break
        _close(client)

    def _heed_silence(self, data: bytes) -> None:
        if not self._voice.is_set():
            self.held += bool(_REQUEST.match(data))
            self._voice.wait()

    def _fault_of(self, data: bytes) -> Fault | None:
        if not _REQUEST.match(data):
            return None
        self.requests += 1
        if self.fault is None or not self.first <= self.requests <= self.last:
            return None
        self.spoilt += 1
        return self.fault


def _close(connection: Any) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
