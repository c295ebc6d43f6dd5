"""The API as a client meets it, without a socket."""

import base64
import dataclasses
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from images import SEVEN, encode
from starlette.testclient import TestClient

from digit_core import api_gate
from digit_core.api import build
from digit_core.api_service import WAITING, Service
from digit_core.classifier import Classifier
from digit_core.errors import ModelUnavailable
from digit_core.feedback import FeedbackStore, share_store
from digit_core.model_store import save_default
from digit_core.settings import read_settings

STROKES = {"strokes": [stroke.tolist() for stroke in SEVEN]}
Serve = Callable[..., TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start the API with some settings changed."""
    clients = []

    def start(**changes: Any) -> TestClient:
        app = build(dataclasses.replace(read_settings(), **changes))
        clients.append(TestClient(app, raise_server_exceptions=False).__enter__())
        return clients[-1]

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()


@pytest.fixture
def store() -> FeedbackStore:
    return share_store(read_settings().database_url)


@pytest.fixture(scope="module")
def picture(drawn: np.ndarray) -> bytes:
    return encode(drawn)


def url_of(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def service_of(client: TestClient) -> Service:
    return client.app.routes[0].app.state.service


def problem(response: Any) -> tuple[int, str]:
    """The status and the code of a failure, which has a sentence too."""
    error = response.json()["error"]
    assert error["message"].endswith(".")
    return response.status_code, error["code"]


# Forms of a drawing


@pytest.fixture(params=["field image", "field file", "JPEG", "untyped", "text", "text as JSON", "JSON", "numbers"])
def drawing(request: pytest.FixtureRequest, drawn: np.ndarray, plain: np.ndarray, picture: bytes) -> dict[str, Any]:
    """One drawing in every form that is taken."""
    forms: dict[str, dict[str, Any]] = {
        "field image": {"files": {"image": ("a.png", picture, "image/png")}},
        "field file": {"files": {"file": ("a.png", picture)}, "data": {"remark": "nothing"}},
        "JPEG": {"content": encode(drawn, "JPEG"), "headers": {"Content-Type": "image/jpeg"}},
        "untyped": {"content": picture},
        "text": {"content": url_of(picture), "headers": {"Content-Type": "text/plain"}},
        "text as JSON": {"content": url_of(picture), "headers": {"Content-Type": "application/json"}},
        "JSON": {"json": {"image": url_of(picture)}},
        "numbers": {"json": {"image": plain.ravel().tolist()}},
    }
    return forms[request.param]


def test_a_drawing_is_read_in_every_form(client, drawing):
    answer = client.post("/api/predict", **drawing)
    assert (answer.status_code, answer.json()["digit"]) == (200, 7)


def test_an_answer_holds_what_the_contract_says(client):
    answer = client.post("/api/predict?model=ann", json=STROKES).json()
    assert (answer["digit"], answer["model"], answer["is_digit"], answer["answer_set"][0]) == (7, "ann", True, 7)
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert answer["confidence"] == answer["probabilities"][7]
    assert 0.5 <= answer["digit_score"] <= 1


@pytest.mark.parametrize("content", ['"DATA"', '  {"image": "DATA"}', "DATA\n", "data:;base64,BASE64", "DATA"])
def test_a_data_url_is_recognised_whatever_it_is_called(client, picture, content):
    base = base64.b64encode(picture).decode()
    sent = content.replace("DATA", url_of(picture)).replace("BASE64", base)
    answer = client.post("/api/predict", content=sent, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.json()["digit"] == 7


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"content": b""}, (400, "unreadable_input")),
        ({"content": b"{"}, (400, "unreadable_input")),
        ({"content": b"[" * 30_000}, (400, "unreadable_input")),
        ({"content": b"[" * 100_000}, (413, "too_large")),
        ({"content": b"no picture"}, (400, "unreadable_input")),
        ({"content": b"data:image/png;base64,!!!"}, (400, "unreadable_input")),
        ({"content": b"data:" + b"a" * 6_000_000}, (400, "unreadable_input")),
        ({"content": b'"data:;' + b"a=b;" * 1_000_000 + b'"'}, (400, "unreadable_input")),
        ({"json": {"strokes": [[[]] * 9000]}}, (400, "unreadable_input")),
        ({"json": {"strokes": [[[]] * 500_000]}}, (413, "too_large")),
        ({"json": {"image": ["a"] * 40_000}}, (400, "unreadable_input")),
        ({"content": b"[" + b"1," * 60_000 + b"1]"}, (413, "too_large")),
        ({"json": {}}, (400, "unreadable_input")),
        ({"json": [1, 2]}, (400, "unreadable_input")),
        ({"json": "no URL"}, (400, "unreadable_input")),
        ({"json": {"image": "https://example.org/seven.png"}}, (400, "unreadable_input")),
        ({"json": {"image": [0] * 783}}, (400, "unreadable_input")),
        ({"json": {"image": [256] * 784}}, (400, "unreadable_input")),
        ({"json": {"strokes": "seven"}}, (400, "unreadable_input")),
        ({"json": {"strokes": [[[1, True]]]}}, (400, "unreadable_input")),
        ({"content": b'{"strokes": [[[1, NaN]]]}'}, (400, "unreadable_input")),
        ({"content": b'{"strokes": [[[1, 1e999]]]}'}, (400, "unreadable_input")),
        ({"files": {"picture": b"x"}}, (400, "unreadable_input")),
        ({"files": {"image": b""}}, (400, "unreadable_input")),
        ({"data": {f"field{n}": "x" for n in range(99)}, "files": {"image": b"x"}}, (400, "unreadable_input")),
        ({"files": [("image", b"x")] * 17}, (400, "unreadable_input")),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, (400, "unreadable_input")),
        ({"content": b"<svg/>", "headers": {"Content-Type": "image/svg+xml"}}, (415, "unsupported_type")),
        ({"json": {"strokes": []}}, (422, "empty_drawing")),
        ({"json": {"image": [0] * 784}}, (422, "empty_drawing")),
        ({"json": {"strokes": [[["x" * 10**6, 1], *[[1, 1]] * 9_000]]}}, (400, "unreadable_input")),
        ({"json": {"strokes": [[[0, 0]] * 10_001]}}, (413, "too_large")),
        ({"content": b"\x89PNG" + bytes(5 * 2**20)}, (413, "too_large")),
        ({"content": bytes(7 * 2**20 + 1)}, (413, "too_large")),
    ],
)
def test_what_cannot_be_read_is_told(client, sent, expected):
    assert problem(client.post("/api/predict", **sent)) == expected


@pytest.mark.parametrize(
    "name", ["../../models/cnn/model.tflite", 'a"; name="file', "a\r\nX-Evil: 1", "a\0.png", "%00"]
)
def test_the_name_of_a_file_is_never_used(client, picture, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = client.post("/api/predict", files={"image": (name, picture, "text/html")})
    assert answer.json()["digit"] == 7
    assert "evil" not in str(answer.headers).lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [b"<script>alert(1)</script>", b"PK\x05\x06" + bytes(18), b"\x80\x04cos\nsystem\n."])
def test_a_picture_that_is_another_file_too_is_read_as_a_picture(client, picture, other):
    answer = client.post("/api/predict", content=picture + other, headers={"Content-Type": "text/plain"})
    assert problem(answer) == (415, "unsupported_type")
    answer = client.post("/api/predict", content=picture + other, headers={"Content-Type": "image/png"})
    assert answer.json()["digit"] == 7
    assert answer.headers["Content-Type"] == "application/json"


def test_an_unknown_model_is_told(client):
    assert problem(client.post("/api/predict?model=../ann", json=STROKES)) == (404, "model_unavailable")
    assert problem(client.get("/api/models/nobody")) == (404, "model_unavailable")


def test_where_no_model_can_read_health_says_so(serve, monkeypatch):
    def refuse(model_id, settings):
        raise ModelUnavailable("The model is damaged.")

    monkeypatch.setattr("digit_core.api_service.load_info", refuse)
    client = serve()
    assert problem(client.get("/api/health")) == (503, "model_unavailable")
    assert problem(client.post("/api/predict", json=STROKES)) == (503, "model_unavailable")
    assert problem(client.post("/api/predict?model=ann", json=STROKES)) == (404, "model_unavailable")


def test_a_model_that_becomes_the_default_reads_soon(client, monkeypatch):
    assert client.post("/api/predict", json=STROKES).json()["model"] == "cnn"
    save_default("ann", read_settings())
    monkeypatch.setattr("digit_core.api_service.FRESH_S", 0.0)
    assert client.post("/api/predict", json=STROKES).json()["model"] == "ann"
    assert [model["model_id"] for model in client.get("/api/models").json()["models"] if model["default"]] == ["ann"]


# Batches


def test_a_batch_answers_each_drawing_in_its_place(client, picture):
    items = [STROKES, {"strokes": []}, {"image": url_of(picture)}, 5]
    answers = client.post("/api/predict/batch?model=ann", json={"items": items}).json()["predictions"]
    codes = [answer.get("digit", answer.get("error", {}).get("code")) for answer in answers]
    assert codes == [7, "empty_drawing", 7, "unreadable_input"]


@pytest.mark.parametrize("body", [[], {}, {"items": []}, {"items": {}}, {"items": [STROKES] * 257}])
def test_a_batch_of_no_items_or_too_many_is_told(client, body):
    assert problem(client.post("/api/predict/batch", json=body)) == (400, "unreadable_input")


def test_a_batch_gives_way_to_others(client, monkeypatch):
    monkeypatch.setattr("digit_core.api_service.PART_S", 1e-9)
    answers = client.post("/api/predict/batch", json={"items": [STROKES] * 5}).json()["predictions"]
    assert [answer["digit"] for answer in answers] == [7] * 5


def test_a_batch_by_an_unknown_model_is_told_once(client):
    answer = client.post("/api/predict/batch?model=nobody", json={"items": [STROKES]})
    assert problem(answer) == (404, "model_unavailable")


def test_batches_of_more_values_than_there_is_room_for_are_told_to_come_again(client, monkeypatch):
    batch = {"items": [STROKES] * 5}
    monkeypatch.setattr("digit_core.api_service.MAX_VALUES", 10)
    assert problem(client.post("/api/predict/batch", json=batch)) == (503, "busy")
    monkeypatch.setattr("digit_core.api_service.MAX_VALUES", 200)
    for _ in range(3):  # what was answered takes no room any more
        assert client.post("/api/predict/batch", json=batch).is_success


# Feedback


def test_feedback_is_kept_beside_the_answer_of_the_model(client, store):
    sent = client.post("/api/feedback", json={**STROKES, "true_digit": 1, "model": "ann"})
    entry = store.get(sent.json()["id"])
    assert (sent.status_code, entry.true_digit, entry.source, entry.input_kind) == (201, 1, "api", "api")
    assert [(answer["model_id"], answer["digit"]) for answer in entry.answers] == [("ann", 7)]
    assert np.array_equal(entry.drawing.strokes[0], SEVEN[0])


def test_feedback_that_is_sent_twice_is_kept_once(client, store):
    said = {**STROKES, "true_digit": None, "id": str(uuid.uuid4())}
    assert [client.post("/api/feedback", json=said).json()["id"] for _ in range(2)] == [said["id"]] * 2
    assert store.count() == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({**STROKES}, (422, "invalid_label")),
        ({**STROKES, "true_digit": 10}, (422, "invalid_label")),
        ({**STROKES, "true_digit": "7"}, (422, "invalid_label")),
        ({**STROKES, "true_digit": True}, (422, "invalid_label")),
        ({**STROKES, "true_digit": 7, "id": "mine"}, (400, "unreadable_input")),
        ({**STROKES, "true_digit": 7, "model": "nobody"}, (404, "model_unavailable")),
        ({"true_digit": 7}, (400, "unreadable_input")),
        ({"true_digit": 7, "strokes": []}, (422, "empty_drawing")),
        ([], (400, "unreadable_input")),
    ],
)
def test_feedback_that_cannot_be_kept_is_told(client, store, said, expected):
    assert problem(client.post("/api/feedback", json=said)) == expected
    assert store.is_empty()


def test_a_page_of_another_site_cannot_send_feedback_unasked(client, store):
    content = json.dumps({**STROKES, "true_digit": 7})
    for kind in (
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ):
        answer = client.post("/api/feedback", content=content, headers={"Content-Type": kind})
        assert problem(answer) == (415, "unsupported_type")
    assert store.is_empty()


def test_the_statistics_are_those_of_the_contract_and_name_nobody(client):
    for digit in (7, 7, 1, None):
        client.post("/api/feedback", json={**STROKES, "true_digit": digit})
    stats = client.get("/api/feedback/stats").json()
    assert set(stats) == {"total", "correct", "by_digit", "by_model", "confusions"}
    assert (stats["total"], stats["correct"], stats["by_digit"]["7"]) == (4, 2, {"total": 2, "correct": 2})
    assert stats["by_model"] == {"cnn": {"total": 4, "correct": 2}}
    assert {"true": None, "predicted": 7, "count": 1} in stats["confusions"]


def test_a_database_that_cannot_be_used_is_told_and_drawings_are_read(serve, tmp_path, caplog):
    (tmp_path / "file").touch()
    client = serve(database_url=f"sqlite:///{tmp_path}/file/feedback.sqlite3")
    answer = client.post("/api/feedback", json={**STROKES, "true_digit": 7})
    assert problem(answer) == (503, "feedback_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert str(tmp_path) not in answer.text
    assert str(tmp_path) in caplog.text
    assert client.post("/api/predict", json=STROKES).json()["digit"] == 7


# The gate


def test_health_names_the_model_and_the_version(client):
    assert client.get("/api/health").json() == {"status": "ok", "model": "cnn", "version": "0.1.0"}


def test_a_token_is_asked_for_by_all_but_health(serve):
    client = serve(api_token="voilà")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic voilà".encode()}):
        answer = client.post("/api/predict", json=STROKES, headers=headers)
        assert problem(answer) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/api/docs").status_code == 401
    headers = {"Authorization": "bearer voilà".encode()}
    document = client.get("/api/openapi.json", headers=headers).json()
    assert document["paths"]["/predict"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in document["paths"]["/health"]["get"]
    assert client.get("/api/health").status_code == 200
    assert client.post("/api/predict", json=STROKES, headers=headers).is_success


def test_a_client_that_asks_too_often_is_told_when_to_come_again(serve):
    client = serve(rate_limit="3/minute")
    answers = [client.post("/api/predict", json=STROKES) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert client.get("/api/health").status_code == 200


def test_addresses_of_one_network_are_one_client_s():
    app = build(dataclasses.replace(read_settings(), rate_limit="2/minute"))
    statuses, mapped = [], ("::ffff:192.0.2.3", "::ffff:192.0.2.4")
    for host in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", *mapped):
        statuses.append(TestClient(app, client=(host, 5000)).get("/api/models").status_code)
    assert statuses == [200, 200, 429, 200, 200, 200, 200, 200]


@pytest.mark.parametrize("length", ["9" * 9, "0" * 5000, "x"])
def test_a_body_that_is_announced_too_large_is_not_waited_for(client, length):
    assert problem(client.post("/api/predict", headers={"Content-Length": length})) == (413, "too_large")


def test_no_more_is_held_at_a_time_than_there_is_room_for(client, monkeypatch):
    monkeypatch.setattr(api_gate, "MAX_HELD", 100)
    answer = client.post("/api/predict", json={"strokes": STROKES["strokes"] * 5})
    assert problem(answer) == (503, "busy")
    for _ in range(3):  # what was answered is not held any more
        assert client.post("/api/predict", json=STROKES).is_success


def test_a_batch_may_be_larger_than_a_drawing(client):
    padded = json.dumps({"items": [STROKES], "padding": "x" * 8 * 2**20})
    assert client.post("/api/predict/batch", content=padded).json()["predictions"][0]["digit"] == 7
    assert problem(client.post("/api/predict", content=padded)) == (413, "too_large")


def test_a_request_that_takes_too_long_is_told(client, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(api_gate, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(Classifier, "predict_all", lambda self, images: go_on.wait(20))
    assert problem(client.post("/api/predict", json=STROKES)) == (504, "timeout")
    go_on.set()


def test_when_too_many_wait_the_next_is_told_to_come_again(client):
    room = service_of(client).reading._room
    for _ in range(WAITING):
        assert room.acquire(blocking=False)
    answer = client.post("/api/predict", json=STROKES)
    assert problem(answer) == (503, "busy")
    assert answer.headers["Retry-After"] == "1"
    assert client.get("/api/health").status_code == 200
    room.release()
    assert client.post("/api/predict", json=STROKES).json()["digit"] == 7


def test_a_bug_is_told_without_its_details(client, monkeypatch):
    monkeypatch.setattr(Classifier, "predict_all", lambda self, images: 1 / 0)
    answer = client.post("/api/predict", json=STROKES)
    assert problem(answer) == (500, "bug")
    assert "ZeroDivisionError" not in answer.text


def test_other_sites_pages_are_answered_only_where_the_operator_named_them(serve):
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    allowed = "access-control-allow-origin"
    assert allowed not in serve().options("/api/predict", headers=asked).headers
    named = serve(cors_origins=("https://example.org",), api_token="secret")
    assert named.options("/api/predict", headers=asked).headers[allowed] == "https://example.org"
    assert named.post("/api/predict", json=STROKES, headers=asked).headers[allowed] == "https://example.org"
    other = asked | {"Origin": "https://example.net"}
    assert allowed not in named.options("/api/predict", headers=other).headers


def test_the_log_has_a_line_a_request_and_nothing_that_was_sent(serve, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(api_gate.access, "info", lines.append)
    client = serve(api_token="secret")
    client.post("/api/predict?model=cnn", json=STROKES, headers={"Authorization": "Bearer secret"})
    client.post("/api/predict%22{}", json=STROKES)
    first, second = map(json.loads, lines)
    assert (first["method"], first["path"], first["status"]) == ("POST", "/api/predict", 200)
    assert first["bytes"] == len(json.dumps(STROKES, separators=(",", ":")))
    assert set(first) == {"time", "client", "method", "path", "status", "bytes", "ms"}
    assert second["status"] == 401
    assert "secret" not in "".join(lines)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 404), ("/api", 404), ("/api/nothing", 404), ("/api/predict/", 404), ("/api/predict", 405)],
)
def test_an_address_that_is_not_there_is_told(client, path, status):
    answer = client.get(path)
    assert problem(answer)[0] == status
    assert "/api/docs" in answer.json()["error"]["message"]


# The documentation


def test_the_documentation_works_without_a_network(client):
    page = client.get("/api/docs").text
    assert "https://" not in page
    sources = [part.split('"')[0] for part in page.split('src="')[1:]] + [
        part.split('"')[0] for part in page.split('href="')[1:]
    ]
    assert sources
    for source in sources:
        assert client.get(source).is_success


def test_the_document_states_limits_failures_and_examples(client):
    document = client.get("/api/openapi.json").json()
    assert document["servers"] == [{"url": "/api"}]
    assert "7 MB" in document["info"]["description"]
    call = document["paths"]["/predict"]["post"]
    assert {"400", "413", "415", "422", "429", "503", "504"} < set(call["responses"])
    forms = call["requestBody"]["content"]
    assert {"application/json", "multipart/form-data", "text/plain", "image/png", "image/jpeg"} < set(forms)
    assert "examples" in json.dumps(forms["application/json"])
    assert "HTTPValidationError" not in json.dumps(document)
