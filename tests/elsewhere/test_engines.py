"""Which engine gets a bottle, and what is said of one that cannot be reached."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.docker import choosing, elsewhere
from backends.docker.choosing import Candidate, Figures
from backends.docker.endpoint import client_argv, find_endpoint, is_elsewhere
from backends.docker.engine import Engine
from backends.registry import get_bottle_backend
from bottlemux.errors import NotFoundError, UnavailableError, UsageError
from bottlemux.paths import Paths

from . import engines

if TYPE_CHECKING:
    from pathlib import Path

needs_engine = [pytest.mark.docker, pytest.mark.sshd]
IDLE = Figures(processors=4, load=0.0, memory=100, available=90, bottles=0, young=0)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("stderr=Host key verification failed.", "does not know its host key", "compare the key"),
        ("stderr=me@far: Permission denied (publickey).", "ssh was refused", "ssh-add"),
        ("stderr=ssh: Could not resolve hostname far: x", "no machine of that name", "context inspect"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "nothing listens there", "start its engine"),
        ("tls: failed to verify certificate: x509: unknown authority", "do not trust each other", "ca, cert"),
        ('context "x": context not found: open /a/meta.json', "no such context", "docker context ls"),
        ("stderr=bash: docker: command not found", "no docker command", "install it"),
        ("permission denied while trying to connect to the Docker daemon", "your user there", "docker group"),
        ("Cannot connect to the Docker daemon at unix:///x. Is it", "no engine runs on it", "systemctl"),
        ("first\nstderr=banner\nsomething else\n", "does not answer: something else", "docker context ls"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_why_an_engine_is_out_of_reach(text: str, said: str, hint: str) -> None:
    error = elsewhere.unreachable("context://far", text)
    assert "of the context 'far'" in error.message
    assert said in error.message
    assert "\n" not in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ({"a": replace(IDLE, load=3.0), "b": IDLE}, "b"),
        ({"a": replace(IDLE, load=3.0), "b": replace(IDLE, load=3.0, processors=8)}, "b"),
        ({"a": replace(IDLE, available=5), "b": replace(IDLE, load=2.0)}, "b"),
        ({"a": replace(IDLE, young=3), "b": IDLE}, "b"),
        ({"a": replace(IDLE, bottles=2), "b": replace(IDLE, bottles=1)}, "b"),
        ({"a": IDLE, "b": IDLE}, "a"),
        ({"a": None, "b": replace(IDLE, load=9.0)}, "b"),
    ],
    ids=["load", "processors", "memory", "just started", "bottles", "the first", "one is dead"],
)
def test_the_least_loaded_one(
    figures: dict[str, Figures | None], best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        choosing, "_ask", lambda name, **_: Candidate(name, figures[name], "" if figures[name] else "dead")
    )
    chosen, failed = choosing.choose(list(figures))
    assert chosen.context == best
    assert [one.context for one in failed] == [name for name, value in figures.items() if value is None]


def test_none_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="names no engine"):
        choosing.choose([])
    monkeypatch.setattr(choosing, "_ask", lambda name, **_: Candidate(name, reason="dead"))
    with pytest.raises(UnavailableError, match="a: dead; b: dead"):
        choosing.choose(["a", "b"])


def test_figures_of_the_kernel() -> None:
    text = "0.52 0.58 0.59 2/890 12345\nMemTotal: 8000 kB\nMemFree: 1 kB\nMemAvailable: 2000 kB\n"
    assert choosing.parse_figures(text) == (0.52, 2000 * 1024)
    with pytest.raises(UnavailableError.__mro__[1], match="no figures"):
        choosing.parse_figures("")


class TestContexts:
    pytestmark = needs_engine

    @pytest.mark.parametrize("context", [engines.SSH, engines.TLS])
    def test_an_engine_answers_with_its_figures(self, network: engines.Sshd, context: str) -> None:
        endpoint = find_endpoint(context)
        assert is_elsewhere(endpoint)
        assert client_argv(endpoint, "ps") == ["docker", "--context", context, "ps"]
        found = choosing.figures(Engine(endpoint))
        assert found.processors > 0
        assert 0 < found.available <= found.memory

    def test_a_host_key_that_changed(self, network: engines.Sshd, tmp_path: Path) -> None:
        known = network.directory / "known"
        before = known.read_text()
        known.write_text("")
        try:
            with pytest.raises(UnavailableError, match="does not know its host key"):
                Engine(find_endpoint(engines.SSH)).check()
        finally:
            known.write_text(before)

    def test_without_a_client_certificate(self, network: engines.Sshd) -> None:
        address = find_endpoint(engines.TLS)
        assert Engine(address).check()
        port = _port_of(engines.TLS)
        with pytest.raises(UnavailableError):
            Engine(f"tcp://127.0.0.1:{port}").check()

    def test_unknown_context(self, network: engines.Sshd, tmp_path: Path) -> None:
        paths = Paths(tmp_path, tmp_path, tmp_path)
        backend = get_bottle_backend("docker@nowhere", paths=paths)
        assert f"known: {engines.GONE}, {engines.SSH}" in backend.is_available().reason
        with pytest.raises(NotFoundError):
            find_endpoint("nowhere")


def _port_of(context: str) -> int:
    import json
    import subprocess

    told = subprocess.run(["docker", "context", "inspect", context], capture_output=True, check=True).stdout
    return int(json.loads(told)[0]["Endpoints"]["docker"]["Host"].rpartition(":")[2])
