"""A running supervise on a socket of its own, raw requests to it, and a directory of proposals."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecars.egress.routes import Route, RouteSet
from sidecars.supervise.service import serve
from sidecars.supervise.spec import RemoteBranches, SuperviseSpec
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SLUG = "tester-00000"
DEADLINE_S = 60.0
HEADERS = {
    "Host": "supervise:9100",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


def until[T](condition: Callable[[], T], what: str) -> T:
    """Poll until ``condition`` holds and return what it returned."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)
    return value


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def message(self) -> dict[str, Any]:
        """Return the JSON-RPC message, from either form of answer."""
        text = self.body.decode()
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            text = next(line[6:] for line in text.splitlines() if line.startswith("data: "))
        value = json.loads(text)
        assert isinstance(value, dict)
        return value


@dataclass
class Server:
    """A supervise in a thread of its own."""

    port: int
    spec: SuperviseSpec

    @property
    def store(self) -> ProposalStore:
        return ProposalStore(self.spec.proposals_dir, SLUG)

    def send(
        self,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        path: str = "/",
        timeout: float = DEADLINE_S,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            merged = {**HEADERS, "Content-Length": str(len(body)), **(headers or {})}
            for name, value in merged.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def rpc(self, method: str, params: object = None, **options: Any) -> dict[str, Any]:
        """Send one JSON-RPC request and return the response."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.send(json.dumps(message).encode(), **options).message()

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its JSON text as a value; a refusal has ``refused`` in it."""
        result = self.rpc("tools/call", {"name": tool, "arguments": arguments})["result"]
        value = json.loads(result["content"][0]["text"])
        assert isinstance(value, dict)
        return {**value, "refused": True} if result["isError"] else value

    def is_well(self) -> bool:
        """Tell whether an ordinary request is served."""
        return bool(self.rpc("tools/list")["result"]["tools"])

    def audit(self) -> list[dict[str, Any]]:
        if not self.spec.audit_file.exists():
            return []
        return [json.loads(line) for line in self.spec.audit_file.read_text().splitlines()]


@contextlib.contextmanager
def running(directory: Path, *routes: Route, can_rebuild: bool = False) -> Iterator[Server]:
    """Run supervise over ``routes`` in a thread."""
    proposals = directory / "proposals"
    proposals.mkdir(exist_ok=True)
    (directory / "routes.json").write_text(RouteSet(routes=routes).dump())
    spec = SuperviseSpec(
        slug=SLUG,
        proposals_dir=proposals,
        routes_file=directory / "routes.json",
        audit_file=directory / "audit.jsonl",
        activity_file=directory / "activity.json",
        git_remotes=(RemoteBranches("origin", ("bottlemux/*",)),),
        can_rebuild=can_rebuild,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def run() -> None:
        state["loop"], state["task"] = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await serve(spec, [listener], on_ready=ready.set)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(DEADLINE_S)
    try:
        yield Server(port, spec)
    finally:
        state["loop"].call_soon_threadsafe(state["task"].cancel)
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "supervise did not end"
