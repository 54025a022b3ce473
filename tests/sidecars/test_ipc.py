"""Framing of messages with descriptors: whatever the peer sends, the reader neither hangs, grows nor leaks."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars import ipc

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@given(st.dictionaries(st.text(), values, max_size=5))
def test_a_message_arrives_as_it_was_sent(message: dict[str, object]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ipc.send(ours, message)
        assert ipc.receive(theirs) == (message, [])


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), max_size=5), st.integers(1, 7)
)
def test_however_it_is_cut(messages: list[dict[str, object]], size: int) -> None:
    ours, theirs = socket.socketpair()
    data = b"".join(
        struct.pack("!I", len(raw)) + raw for raw in (json.dumps(one).encode() for one in messages)
    )

    def dribble() -> None:
        for start in range(0, len(data), size):
            ours.sendall(data[start : start + size])
        ours.close()

    writer = threading.Thread(target=dribble)
    writer.start()
    with theirs:
        received = []
        while (message := ipc.receive(theirs)[0]) is not None:
            received.append(message)
    writer.join()
    assert received == messages


@given(st.binary(max_size=200))
def test_noise_is_an_error_or_an_end(noise: bytes) -> None:
    before = open_descriptors()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(noise)
        ours.shutdown(socket.SHUT_WR)
        try:
            while ipc.receive(theirs)[0] is not None:
                pass
        except (ValueError, EOFError):
            pass
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"1", b'"x"', b"null", b"{", b"\xff", b"{}x", b"[" * 5000],
    ids=["list", "number", "text", "null", "unfinished", "no text", "trailing", "deep"],
)
def test_what_is_no_object_is_refused_and_its_descriptors_closed(raw: bytes) -> None:
    before = open_descriptors()
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, theirs:
        socket.send_fds(ours, [struct.pack("!I", len(raw))], [reader, writer])
        ours.sendall(raw)
        with pytest.raises(ValueError, match=r"\w"):
            ipc.receive(theirs)
        os.close(reader)
        os.close(writer)
    assert open_descriptors() == before


def test_a_huge_length_is_refused_before_anything_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("!I", 0xFFFFFFFF))
        with pytest.raises(ValueError, match="limit"):
            ipc.receive(theirs)


def test_descriptors_arrive_and_are_not_inherited() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, theirs:
        ipc.send(ours, {}, [writer])
        _message, (received,) = ipc.receive(theirs)
    os.write(received, b"x")
    assert os.read(reader, 1) == b"x"
    assert not os.get_inheritable(received)
    for descriptor in (reader, writer, received):
        os.close(descriptor)


@pytest.mark.parametrize("length", [20, 107, 108, 250])
def test_socket_paths_may_be_long(tmp_path: Path, length: int) -> None:
    directory = tmp_path / ("d" * length)
    directory.mkdir()
    path = str(directory / "control.sock")
    with ipc.listen(path) as listener, ipc.connect(path) as connection:
        ipc.send(connection, {"a": 1})
        accepted, _ = listener.accept()
        with accepted:
            assert ipc.receive(accepted)[0] == {"a": 1}
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_listening_again_replaces_a_dead_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    ipc.listen(path).close()
    with pytest.raises(OSError, match="refused"):
        ipc.connect(path)
    with ipc.listen(path), ipc.connect(path):
        pass
