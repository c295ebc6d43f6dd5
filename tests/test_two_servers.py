"""Two servers behind nginx, as the README proposes, with PostgreSQL and one folder of models."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from images import SEVEN
from live import UVICORN, Server, find_lines, find_port, run_server
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from websockets.sync.client import connect

from digit_core.model_store import save_default
from digit_core.settings import ROOT

STROKES = {"strokes": [stroke.tolist() for stroke in SEVEN]}
pytestmark = pytest.mark.slow


@contextmanager
def run_nginx(folder: Path, servers: list[Server]) -> Iterator[str]:
    """Run nginx with the README's settings in front of some servers, and lend its address."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("Install nginx: it stands in front of several servers.")
    port = find_port()
    settings = (
        (ROOT / "docs" / "nginx.conf").read_text(encoding="utf-8").replace("listen 80;", f"listen 127.0.0.1:{port};")
    )
    for told, server in zip(("127.0.0.1:8501", "127.0.0.1:8502"), servers, strict=True):
        assert settings.count(told) == 2
        settings = settings.replace(told, server.url.removeprefix("http://"))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {places}\n{settings} }}"
    )
    process = subprocess.Popen([nginx, "-p", folder, "-c", path])
    deadline = time.monotonic() + 10
    while not (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, body: object = None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=40) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}


@pytest.fixture
def pair(
    postgres: str, isolate: Callable[[Path], dict[str, str]], tmp_path: Path
) -> Iterator[tuple[list[Server], str]]:
    """Two servers that share database and models, and the address in front of them."""
    from postgres import make_database

    variables = isolate(tmp_path) | {"DIGIT_LAB_DATABASE_URL": make_database(postgres)}
    command = [sys.executable, "-m", "digit_core", "feedback", "migrate"]
    subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        servers = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(run_server(tmp_path / name, variables, UVICORN)))
        yield servers, stack.enter_context(run_nginx(tmp_path, servers))


def test_two_servers_are_one_to_those_who_ask(pair):
    (one, other), front = pair
    status, kept = ask(f"{one.url}/api/feedback", STROKES | {"true_digit": 7})
    assert status == 201
    assert ask(f"{other.url}/api/feedback/stats")[1]["total"] == 1
    assert ask(f"{other.url}/api/feedback", STROKES | {"true_digit": 7, "id": kept["id"]})[0] == 201
    assert ask(f"{one.url}/api/feedback/stats")[1]["total"] == 1

    save_default("ann", one.settings)
    deadline = time.monotonic() + 10
    while ask(f"{other.url}/api/predict", STROKES)[1]["model"] != "ann":
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert {ask(f"{front}/api/predict", STROKES)[1]["digit"] for _ in range(20)} == {7}
    with urllib.request.urlopen(f"{front}/train", timeout=10) as page:
        assert b"<title>Streamlit</title>" in page.read()


def test_the_dashboard_speaks_and_clients_are_told_apart_behind_nginx(pair):
    servers, front = pair
    plug = socket.create_connection(("127.0.0.1", urlsplit(front).port))
    site = "digits.example.org"
    stream = connect(f"ws://{site}/_stcore/stream", sock=plug, origin=f"http://{site}", subprotocols=["streamlit"])
    with stream as tab:
        tab.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        assert tab.recv(30)
    for _ in servers:
        asking = HTTPConnection(urlsplit(front).netloc, timeout=10, source_address=("127.0.0.2", 0))
        with closing(asking):
            asking.request("GET", "/api/models", headers={"X-Forwarded-For": "203.0.113.7"})
            asking.getresponse().read()
    clients = {json.loads(line)["client"] for line in find_lines(servers[0], "/api/models")}
    assert "127.0.0.2" in clients and "203.0.113.7" not in clients, "nobody is who they say"


def test_who_asks_the_api_sees_no_error_when_a_server_is_killed(pair):
    (one, _), front = pair
    statuses = []
    for number in range(200):
        if number == 50:
            one.process.kill()
        said = STROKES | {"true_digit": 7, "id": str(uuid.uuid4())}
        statuses += [ask(f"{front}/api/predict", STROKES)[0], ask(f"{front}/api/feedback", said)[0]]
    assert set(statuses) == {200, 201}
    assert ask(f"{front}/api/feedback/stats")[1]["total"] == 200
