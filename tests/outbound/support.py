"""Egress with its real scanner, in a thread; and a stand-in for the operator's pipelock as a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from sidecars import ca, outbound
from sidecars.egress.routes import Route, RouteSet
from sidecars.egress.spec import EgressSpec
from tests.egress.support import DEADLINE_S, Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sidecars.secrets import SecretSource

MARK = "MARKED-by-the-stand-in"

_STAND_IN = '''#!PYTHON -I
"""Speaks pipelock's scan interface: denies what holds the mark. Keeps its pid and configuration for the test."""
import json, os, pathlib, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOME = pathlib.Path(HERE)
assert sys.argv[1:3] == ["run", "--config"], sys.argv
text = pathlib.Path(sys.argv[3]).read_text()
config = json.loads(text)
behaviour = (HOME / "behaviour").read_text() if (HOME / "behaviour").exists() else ""
with (HOME / "seen").open("a") as seen:
    seen.write(json.dumps({"pid": os.getpid(), "argv": sys.argv, "env": dict(os.environ), "config": config,
                           "mode": os.stat(sys.argv[3]).st_mode & 0o777}) + "\\n")
if behaviour == "fail":
    token = config["scan_api"]["auth"]["bearer_tokens"][0]
    sys.exit(f"unknown key: scan_api\\x1b[31m {token}")

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tokens = config["scan_api"]["auth"]["bearer_tokens"]
        status, verdict = 200, {"status": "completed", "decision": "allow", "engine_version": "9.8.7"}
        if self.headers["Authorization"] not in ["Bearer " + each for each in tokens]:
            status, verdict = 401, {"status": "error"}
        elif MARK in call["input"]["text"]:
            verdict |= {"decision": "deny", "findings": [{"rule_id": "Mark"}]}
        elif "drop dead" in call["input"]["text"]:
            os._exit(3)
        elif "hang" in call["input"]["text"]:
            (HOME / "hanging").touch()
            threading.Event().wait()
        body = json.dumps(verdict).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

host, _, port = config["scan_api"]["listen"].rpartition(":")
ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
'''


def make_stand_in(directory: Path, behaviour: str = "") -> Path:
    """Return the program; a ``behaviour`` of ``fail`` makes it end at once."""
    directory.mkdir()
    (directory / "behaviour").write_text(behaviour)
    program = directory / "pipelock"
    text = _STAND_IN.replace("PYTHON", sys.executable).replace("HERE", repr(str(directory)))
    program.write_text(text.replace("MARK", repr(MARK)))
    program.chmod(0o755)
    return program


@contextlib.contextmanager
def running_outbound(
    directory: Path, *routes: Route, secrets: Mapping[str, SecretSource] | None = None, **options: Any
) -> Iterator[Proxy]:
    """Run the whole way out with ``routes``; ``options`` go to :class:`EgressSpec`."""
    key, cert = ca.make_ca("bottle test authority")
    routes_file = directory / "routes.json"
    routes_file.write_text(RouteSet(routes=routes).dump())
    spec = EgressSpec(
        slug="test-00000",
        routes_file=routes_file,
        secrets=secrets or {},
        ca_key_pem=key,
        ca_cert_pem=cert,
        audit_file=directory / "audit.jsonl",
        **options,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def run() -> None:
        state["loop"] = asyncio.get_running_loop()
        state["task"] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await outbound.serve(spec, [listener], on_ready=ready.set)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(DEADLINE_S), "the way out did not open"

    def stop() -> None:
        state["loop"].call_soon_threadsafe(state["task"].cancel)
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the way out did not close"

    try:
        yield Proxy(directory, address, cert, routes_file, spec.audit_file, stop)
    finally:
        if thread.is_alive():
            stop()
