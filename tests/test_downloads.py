"""Downloads from a real server on this machine, which fails as servers do."""

import http.server
import threading

import pytest
from filelock import FileLock

from digit_core import downloads
from digit_core.downloads import fetch
from digit_core.errors import DataUnavailable, StorageFailed

CONTENT = bytes(range(256)) * 4000
OTHERWISE = "do without."
STALL = 2_000_001  # told as a length, by a server that sends less and then nothing


@pytest.fixture
def serve(monkeypatch):
    """Answers, one per request, each a status and a body; what was asked for, and from which byte."""
    answers, asked, stalled = [], [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, *length = answers[min(len(asked), len(answers) - 1)]
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            asked.append((self.path, start))
            if status == 206:
                body = body[start:]
            self.send_response(status)
            self.send_header("Content-Length", str(length[0] if length else len(body)))
            if status == 302:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)
            if length and length[0] == STALL:
                self.wfile.flush()
                stalled.wait(5)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    yield f"http://127.0.0.1:{server.server_port}/file", answers, asked
    stalled.set()
    server.shutdown()
    server.server_close()


def check(path):
    if not path.exists() or path.read_bytes() != CONTENT:
        raise DataUnavailable("not the file")
    return "what is in it"


def ignore(share):
    pass


def test_a_file_comes_whole_and_tells_its_share(serve, tmp_path):
    url, answers, _ = serve
    answers.append((200, CONTENT))
    shares = []
    read = fetch(url, tmp_path / "new" / "file", 2_000_000, check, shares.append, OTHERWISE)
    assert read == "what is in it"
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_file_that_is_there_is_not_asked_for(serve, tmp_path):
    url, _, asked = serve
    (tmp_path / "file").write_bytes(CONTENT)
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert asked == []


def test_a_download_goes_on_where_it_broke_off(serve, tmp_path):
    url, answers, asked = serve
    answers += [(200, CONTENT[:600_000], len(CONTENT)), (206, CONTENT)]
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert [start for _, start in asked] == [0, 600_000]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_next_call_goes_on_too(serve, tmp_path):
    url, answers, asked = serve
    answers += [(200, CONTENT[:1000], len(CONTENT))] + [(503, b"")] * 2 + [(206, CONTENT)]
    with pytest.raises(DataUnavailable, match="file could not be downloaded"):
        fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert asked[-1][1] == 1000


def test_what_came_before_a_server_fell_silent_is_kept(serve, tmp_path, monkeypatch):
    url, answers, asked = serve
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    answers += [(200, CONTENT[:200_000], STALL), (206, CONTENT)]
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert [start for _, start in asked] == [0, 200_000]


def test_a_download_without_end_is_given_up(serve, tmp_path, monkeypatch):
    url, answers, _ = serve
    monkeypatch.setattr(downloads, "LONGEST", 0.0)
    answers.append((200, CONTENT))
    with pytest.raises(DataUnavailable, match=r"took longer than 0 minutes.*Go online .* or do without\."):
        fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)


@pytest.mark.parametrize("length", ["", "abc", "-1", "9" * 99])
def test_a_length_that_is_no_number_is_not_believed(serve, tmp_path, length):
    url, answers, _ = serve
    answers.append((200, CONTENT, length))
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("address", [b"http://[::1", b"http://a..b/", b"ftp://127.0.0.1:1/", b"mailto:x"])
def test_an_address_that_leads_nowhere_is_told(serve, tmp_path, address):
    url, answers, _ = serve
    answers.append((302, address))
    with pytest.raises(DataUnavailable, match="file could not be downloaded"):
        fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)


def test_a_server_that_cannot_go_on_starts_anew(serve, tmp_path):
    url, answers, _ = serve
    (tmp_path / "file.part").write_bytes(CONTENT[:5000])
    answers.append((200, CONTENT))
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_whole_is_taken(serve, tmp_path):
    url, answers, _ = serve
    (tmp_path / "file.part").write_bytes(CONTENT)
    answers.append((416, b""))
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_of_something_else_is_thrown_away(serve, tmp_path):
    url, answers, asked = serve
    (tmp_path / "file.part").write_bytes(b"another file's beginning")
    answers += [(206, CONTENT), (200, CONTENT)]
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert [start for _, start in asked] == [24, 0]


def test_a_page_in_place_of_the_file_is_not_kept(serve, tmp_path):
    url, answers, asked = serve
    answers.append((200, b"<html>Sign in to the network</html>"))
    with pytest.raises(DataUnavailable, match=r"file could not be downloaded \(something else came\)"):
        fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert (len(asked), list(tmp_path.glob("file*[!k]"))) == (3, [])  # its lock may stay


def test_a_damaged_file_is_fetched_anew(serve, tmp_path):
    url, answers, _ = serve
    (tmp_path / "file").write_bytes(b"damaged")
    answers.append((200, CONTENT))
    fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_who_comes_second_is_told_to_wait(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LOCK_WAIT", 0.1)
    told = r"file is being downloaded already\. Wait, and try again\.$"
    with FileLock(tmp_path / "file.lock"), pytest.raises(DataUnavailable, match=told):
        fetch(serve[0], tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)


def test_after_a_failure_another_may_try(serve, tmp_path):
    url, answers, _ = serve
    answers.append((404, b""))
    with pytest.raises(DataUnavailable) as kept:
        fetch(url, tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)
    with FileLock(tmp_path / "file.lock", timeout=0):
        assert "404" in str(kept.value)


def test_a_lock_that_cannot_be_made_is_told(serve, tmp_path):
    (tmp_path / "file.lock").mkdir()
    with pytest.raises(StorageFailed):
        fetch(serve[0], tmp_path / "file", 2_000_000, check, ignore, OTHERWISE)


def test_an_endless_file_is_cut_off(serve, tmp_path):
    url, answers, _ = serve
    answers.append((200, CONTENT))
    with pytest.raises(DataUnavailable, match="the file is larger than 1 MB"):
        fetch(url, tmp_path / "file", 1_000_000, check, ignore, OTHERWISE)
    assert not (tmp_path / "file").exists()


def test_a_folder_that_cannot_be_made_is_told(serve, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageFailed, match="could not be written"):
        fetch(serve[0], tmp_path / "taken" / "file", 1_000, check, ignore, OTHERWISE)
