"""The API of a running server: the README's commands, what nobody would send on purpose, and what outlives a kill."""

import base64
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from images import SEVEN, encode
from live import UVICORN, Server, find_lines, run_server

from digit_core.feedback import FeedbackStore
from digit_core.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", README.split("## REST API")[1].split("\n## ")[0], re.DOTALL)
    for command in block.strip().splitlines()
]
STROKES = {"strokes": [stroke.tolist() for stroke in SEVEN]}
ALONE = ("uvicorn", "digit_core.api:app", "--port=PORT", "--no-access-log")


@pytest.fixture(scope="module")
def server(isolate: Callable[[Path], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard and the API in one process."""
    folder = tmp_path_factory.mktemp("server")
    with run_server(folder, isolate(folder), UVICORN) as server:
        yield server
    assert "Traceback" not in server.log.read_text()


@contextmanager
def connected(server: Server) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        yield connection


def post(connection: http.client.HTTPConnection, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    connection.request("POST", path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture(scope="module")
def tools() -> dict[str, str]:
    """The variables with which a shell finds what the README's commands call."""
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("Install curl: the README's commands are run.")
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:60])
def test_the_commands_of_the_readme_work(server, tools, command):
    told = command.replace("http://localhost:8501", server.url)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {told}"], cwd=ROOT, env=tools, capture_output=True, check=True
    )
    answer = json.loads(done.stdout)
    assert "error" not in answer
    if command.endswith("/api/predict"):
        assert (answer["digit"], answer["answer_set"]) == (7, [7])


def test_the_readme_shows_every_form_of_a_drawing():
    shown = "\n".join(command for command in COMMANDS if command.endswith("/api/predict"))
    for form in ("-F image=", "-F file=", "image/png", "image/jpeg", "text/plain", "data:image", "28, 28", '"strokes"'):
        assert form in shown


def test_the_dashboard_is_where_it_was(server):
    with connected(server) as connection:
        for path in ("/", "/train", "/api/docs"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Content-Type")) == (200, "text/html; charset=utf-8")
            answer.read()


def test_a_client_that_goes_away_in_mid_request_does_no_harm(server):
    for path in ("/api/predict", "/api/predict/batch", "/api/feedback"):
        with connected(server) as connection:
            connection.putrequest("POST", path)
            connection.putheader("Content-Length", "1000")
            connection.endheaders(b"{")
    with connected(server) as connection:
        assert post(connection, "/api/predict", json.dumps(STROKES).encode(), "application/json")[0] == 200


def test_a_body_that_does_not_say_its_size_is_cut_off(server):
    with connected(server) as connection:
        connection.putrequest("POST", "/api/predict")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for _ in range(8):  # of 50 that would come
            connection.send(b"100000\r\n" + bytes(2**20) + b"\r\n")
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error"]["code"]) == (413, "too_large")


def test_a_token_among_streamlit_s_secrets_is_asked_for(isolate, tmp_path):
    variables = isolate(tmp_path)
    secrets = Path(variables["HOME"]) / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text('DIGIT_LAB_API_TOKEN = "secret"')
    with run_server(tmp_path, variables, UVICORN) as server, connected(server) as connection:
        assert post(connection, "/api/predict", json.dumps(STROKES).encode(), "application/json")[0] == 401


def test_a_request_leaves_one_line_in_the_log(server):
    with connected(server) as connection:
        connection.request("GET", "/api/models/one-line")
        connection.getresponse().read()
    assert [json.loads(line)["status"] for line in find_lines(server, "one-line")] == [404]


@pytest.mark.slow
def test_the_document_is_kept_whatever_is_sent(server, tmp_path, thorough):
    command = [Path(sys.executable).parent / "schemathesis", "run", f"{server.url}/api/openapi.json"]
    # A text that is no data URL is a string as the document asks for, and is refused all the same.
    options = ["--exclude-checks=positive_data_acceptance", "--continue-on-failure", "--seed=1"]
    count = f"--max-examples={500 if thorough else 100}"
    done = subprocess.run([*command, *options, count], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    generated = int(re.search(r"(\d+) generated", done.stdout)[1])
    assert generated > (5000 if thorough else 900)


def mutate(body: bytes, rng: random.Random) -> bytes:
    """Change some bytes, cut a piece out, or put one in twice."""
    changed = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(changed) + 1), rng.randint(1, 40)
        piece = [rng.randbytes(length), changed[at : at + length] * 2, b"", b"\0", b"9" * length][rng.randrange(5)]
        changed[at : at + rng.choice([0, 1, length])] = piece
    return bytes(changed)


@pytest.mark.slow
def test_mutated_bodies_never_make_the_server_fail(server, drawn, thorough):
    picture = encode(drawn)
    url = json.dumps({"image": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}).encode()
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s\r\n--b--\r\n' % picture
    numbers = json.dumps({"image": np.zeros(784, int).tolist()}).encode()
    strokes, said = json.dumps(STROKES).encode(), json.dumps(STROKES | {"true_digit": 7}).encode()
    batch = json.dumps({"items": [STROKES] * 3}).encode()
    samples = [
        *[("/api/predict", encode(drawn, kind), f"image/{kind}") for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF")],
        ("/api/predict", form, "multipart/form-data; boundary=b"),
        *[("/api/predict", body, "application/json") for body in (url, numbers, strokes)],
        ("/api/predict/batch", batch, "application/json"),
        ("/api/feedback", said, "application/json"),
    ]
    rng, process = random.Random(0), psutil.Process(server.process.pid)

    def send(connection: http.client.HTTPConnection, count: int) -> None:
        for number in range(count):
            path, body, kind = samples[number % len(samples)]
            status, answer = post(connection, path, mutate(body, rng), kind)
            assert status < 500, answer
            assert json.loads(answer)

    with connected(server) as connection:
        send(connection, 1000)
        before = process.memory_info().rss
        send(connection, 20_000 if thorough else 4000)
    assert process.memory_info().rss - before < 50 * 2**20


@pytest.mark.slow
def test_feedback_that_was_answered_outlives_a_kill(isolate, tmp_path, thorough):
    variables, rng = isolate(tmp_path), random.Random(0)
    kept: list[str] = []

    def say(server: Server) -> None:
        with connected(server) as connection, suppress(OSError, http.client.HTTPException):
            while True:
                said = STROKES | {"true_digit": 7, "id": str(uuid.uuid4())}
                status, _ = post(connection, "/api/feedback", json.dumps(said).encode(), "application/json")
                assert status == 201
                kept.append(said["id"])

    for _ in range(50 if thorough else 8):
        with run_server(tmp_path, variables, ALONE) as server:
            talking = threading.Thread(target=say, args=[server])
            talking.start()
            time.sleep(rng.uniform(0.1, 0.5))
            server.process.kill()
            talking.join()
    with closing(FeedbackStore(variables["DIGIT_LAB_DATABASE_URL"])) as store:
        assert len(kept) > 50
        assert set(kept) <= {entry.id for entry in store.walk()}
