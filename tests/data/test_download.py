"""Downloads over a connection that cuts, stalls and lies."""

import hashlib
import http.server
import pathlib
import tarfile
import threading
import time

import pytest

import p5_keras as p5
from p5_keras.data import download as module
from p5_keras.data.download import download

BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request by the next word of what the test says."""

    plan: list[str] = []
    asked: list[str | None] = []
    body = BODY

    def do_GET(self):
        wish = self.headers.get("Range")
        self.asked.append(wish)
        word = self.plan.pop(0) if self.plan else "whole"
        start = int(wish[6:-1]) if wish and word != "no range" else 0
        if word.isdecimal():
            return self.send_error(int(word))
        body = self.body[start:]
        self.send_response(206 if start else 200)
        if start:
            first = start + (word == "other bytes")
            size = len(self.body)
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        if word != "no length":
            self.send_header("Content-Length", str(len(body) + 9 * (word == "lies")))
        if word != "no tag":
            self.send_header("ETag", '"1"')
        self.end_headers()
        if word in ("cut", "stall", "no tag"):
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.wfile.flush()
        if word == "stall":
            time.sleep(1.5)
        self.close_connection = True
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.0)
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    monkeypatch.setattr(Handler, "plan", [])
    monkeypatch.setattr(Handler, "asked", [])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/data.bin"
    server.shutdown()
    server.server_close()


HALF = f"bytes={len(BODY) // 2}-"


@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        ([], [None]),
        (["cut"], [None, HALF]),
        (["stall"], [None, HALF]),
        (["503", "429"], [None] * 3),
        (["cut", "no range"], [None, HALF]),
        (["cut", "other bytes"], [None, HALF, None]),
        (["cut", "416"], [None, HALF, None]),
        (["no tag"], [None, None]),  # it may be another file by now
        (["no length"], [None]),
    ],
)
def test_it_comes_whole(plan, asked, address, tmp_path):
    Handler.plan[:] = plan
    file = tmp_path / "data.bin"
    assert download(address, file, SHA256) == SHA256
    assert file.read_bytes() == BODY
    assert Handler.asked == asked
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_cut_off_for_ever_is_never_taken_for_whole(address, tmp_path):
    Handler.plan[:] = ["cut"] * 99
    with pytest.raises(ValueError, match=r"cut off after .* begin anew delete \S+"):
        download(address, tmp_path / "data.bin", SHA256)
    assert not (tmp_path / "data.bin").exists()
    assert len(Handler.asked) == module.TRIES
    Handler.plan[:] = []
    download(address, tmp_path / "data.bin", SHA256)
    assert Handler.asked[-1].startswith("bytes=")


@pytest.mark.parametrize(
    ("plan", "sha256", "text", "asked"),
    [
        (["404"], SHA256, "the server says 404", 1),
        (["lies"] * 99, SHA256, "it was cut off after 10,240 of 10,249 bytes", 5),
        (["stall"] * 99, SHA256, "the server sent nothing for 0.5 s", 5),
        ([], "0" * 64, "it has the SHA-256 .* and must have 000", 1),
    ],
)
def test_it_is_refused_in_a_line(plan, sha256, text, asked, address, tmp_path):
    Handler.plan[:] = plan
    with pytest.raises(ValueError, match=text) as error:
        download(address, tmp_path / "data.bin", sha256)
    assert "\n" not in str(error.value)
    assert len(Handler.asked) == asked
    assert not (tmp_path / "data.bin").exists()


def test_parts_of_two_files_are_put_together_once_and_not_kept(address, tmp_path):
    Handler.plan[:] = ["cut"] * module.TRIES
    with pytest.raises(ValueError):
        download(address, tmp_path / "data.bin", SHA256)
    partial = tmp_path / "partial_data.bin"
    partial.write_bytes(b"?" * partial.stat().st_size)
    download(address, tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert Handler.asked[-1] is None


def test_nothing_listens(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.0)
    with pytest.raises(ValueError, match="the connection broke"):
        download("http://127.0.0.1:9/a", tmp_path / "a")


def test_what_was_under_the_final_name_is_not_trusted(address, tmp_path):
    folder = tmp_path / "downloads" / "set"
    folder.mkdir(parents=True)
    (folder / "data.bin").write_bytes(BODY[:99])
    p5.data.fetch("set", {address: None}, tmp_path)
    assert (folder / "data.bin").read_bytes() == BODY
    assert (folder / "data.bin.sha256").read_text().strip() == SHA256


def test_a_file_without_a_hash_must_be_that_of_the_first_time(
    address, tmp_path, monkeypatch
):
    folder = pathlib.Path(p5.data.fetch("set", {address: None}, tmp_path))
    (folder / "data.bin").unlink()
    monkeypatch.setattr(Handler, "body", BODY[::-1])
    with pytest.raises(ValueError, match=r"another file than at first.* delete \S+256"):
        p5.data.fetch("set", {address: None}, tmp_path)
    (folder / "data.bin.sha256").unlink()
    p5.data.fetch("set", {address: None}, tmp_path)
    assert (folder / "data.bin").read_bytes() == BODY[::-1]


def packed(tmp_path, content):
    (tmp_path / "inside").write_bytes(content)
    with tarfile.open(tmp_path / "data.bin.tar.gz", "w:gz") as out:
        out.add(tmp_path / "inside", "inside")
    return (tmp_path / "data.bin.tar.gz").read_bytes()


def test_an_unpacking_that_was_killed_is_done_again(address, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "body", packed(tmp_path, BODY))
    url = f"{address}.tar.gz"

    def killed(file):
        (file.parent / "inside").write_bytes(BODY[:9])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(p5.data.fetch.__globals__, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            p5.data.fetch("set", {url: None}, tmp_path)
    folder = pathlib.Path(p5.data.fetch("set", {url: None}, tmp_path))
    assert (folder / "inside").read_bytes() == BODY


def test_an_archive_cut_off_at_its_source_fails_each_time_and_then_no_more(
    address, tmp_path, monkeypatch
):
    whole, url = packed(tmp_path, BODY), f"{address}.tar.gz"
    monkeypatch.setattr(Handler, "body", whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(ValueError, match="archive is damaged and was deleted"):
            p5.data.fetch("set", {url: None}, tmp_path)
    monkeypatch.setattr(Handler, "body", whole)
    folder = pathlib.Path(p5.data.fetch("set", {url: None}, tmp_path))
    assert (folder / "inside").read_bytes() == BODY


def test_an_archive_that_becomes_huge_is_not_unpacked(address, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "body", packed(tmp_path, bytes(10**6)))
    monkeypatch.setitem(p5.data.fetch.__globals__, "MAX_MORE", 100)
    with pytest.raises(ValueError, match="the archive unpacks to more than"):
        p5.data.fetch("set", {f"{address}.tar.gz": None}, tmp_path)
    assert not (tmp_path / "downloads" / "set" / "inside").exists()


def test_one_at_a_time(tmp_path, capfd):
    log = []

    def work():
        with module.alone(tmp_path / "lock", "the work"):
            log.append("in")
            time.sleep(0.2)
            log.append("out")

    # Two descriptors of one file exclude each other as two processes do.
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == ["in", "out"] * 2
    assert "Another process is at the work; waiting" in capfd.readouterr().out
