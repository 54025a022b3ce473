"""What the gate answers to which request."""

from __future__ import annotations

import asyncio
import contextlib
import re
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

from sidecars.audit import AuditEntry, AuditLog, AuditUnavailable
from sidecars.git_gate.children import read_all
from sidecars.git_gate.hooks import FD_VARIABLE, Conversation
from sidecars.git_gate.mirror import Mirror
from sidecars.git_gate.pushoutput import PushOutput
from sidecars.git_gate.receive import PushJudge
from sidecars.git_gate.record import Recorder
from sidecars.git_gate.refusal import Refused, printable
from sidecars.git_gate.response import Response, packet, refusal_body
from sidecars.git_gate.wire import BadRequest, Request, spool_body

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.git_gate.remotes import GitRemote
    from sidecars.git_gate.scanning import Scanner
    from sidecars.git_gate.spec import GitGateSpec

_ROUTE = re.compile(r"/([a-z0-9._-]+)\.git/(info/refs|git-upload-pack|git-receive-pack)")
_SERVICES = ("git-upload-pack", "git-receive-pack")
_PROTOCOL = re.compile(r"version=[012]")
_MAX_FETCH_REQUEST = 16 * 1024 * 1024
_PACK_SLACK = 1024 * 1024
_CHUNK = 64 * 1024


class Repository:
    """One remote as the bottle sees it."""

    def __init__(
        self, spec: GitGateSpec, remote: GitRemote, hooks: Path, scanner: Scanner, audit: AuditLog
    ) -> None:
        self._spec = spec
        self._limits = spec.limits
        self._scanner = scanner
        self._recorder = Recorder(audit, remote)
        self._slots = asyncio.Semaphore(spec.limits.git_processes)
        self.mirror = Mirror(spec, remote, hooks)

    async def advertise(self, request: Request, response: Response) -> None:
        """Answer ``info/refs`` with upstream's refs as they are now."""
        service = request.query.removeprefix("service=")
        if request.query == service or service not in _SERVICES:
            raise BadRequest(HTTPStatus.FORBIDDEN, "only git's smart protocol is spoken here")
        content_type = f"application/x-{service}-advertisement"
        method = "fetch" if service == "git-upload-pack" else "push"
        try:
            await self.mirror.refresh()
            body = await self._advertisement(service, request)
            if method == "fetch":
                self._recorder.fetched()
        except Refused as refusal:
            self._recorder.blocked(refusal, (), method=method)
            await response.whole(HTTPStatus.OK, content_type, refusal_body(refusal, service))
            return
        await response.whole(HTTPStatus.OK, content_type, body)

    async def _advertisement(self, service: str, request: Request) -> bytes:
        protocol = _protocol(request) if service == "git-upload-pack" else {}
        git = self.mirror.git.with_extra(**protocol)
        command = service.removeprefix("git-")
        refs = await git.run(command, "--stateless-rpc", "--advertise-refs", str(git.repository))
        if refs.code != 0:
            raise Refused("upstream", "the mirror of this repository cannot be read")
        header = (
            b""
            if protocol.get("GIT_PROTOCOL") == "version=2"
            else packet(f"# service={service}\n".encode()) + b"0000"
        )
        return header + refs.out

    async def upload(self, request: Request, reader: asyncio.StreamReader, response: Response) -> None:
        """Serve a clone or a fetch from the mirror."""
        git = self.mirror.git.with_extra(**_protocol(request))
        with await self._body(request, reader, response, _MAX_FETCH_REQUEST) as body:
            arguments = ("upload-pack", "--stateless-rpc", "--strict", str(git.repository))
            async with self._slots, git.start(*arguments, stdin=body.fileno()) as process:
                errors = asyncio.create_task(read_all(process.stderr, _CHUNK))
                await response.start(HTTPStatus.OK, "application/x-git-upload-pack-result")
                while process.stdout is not None and (data := await process.stdout.read(_CHUNK)):
                    await response.send(data)
                await errors
        await response.finish()

    async def receive(self, request: Request, reader: asyncio.StreamReader, response: Response) -> None:
        """Take a push. Once it runs it runs to its end, whether or not the client still listens."""
        with await self._body(request, reader, response, self._limits.pack_bytes + _PACK_SLACK) as body:
            async with self._slots, self.mirror.lock:
                await response.start(HTTPStatus.OK, "application/x-git-receive-pack-result")
                output = PushOutput(response)
                judge = PushJudge(self.mirror, self._scanner, self._recorder, self._limits)
                await self._run_receive(body, judge, output)
        await output.finish()

    async def _run_receive(self, body: IO[bytes], judge: PushJudge, output: PushOutput) -> None:
        conversation = Conversation()
        git = self.mirror.git.with_extra(**{FD_VARIABLE: str(conversation.inherited)})
        arguments = ("receive-pack", "--stateless-rpc", str(git.repository))
        try:
            async with (
                git.start(*arguments, stdin=body.fileno(), pass_fds=(conversation.inherited,)) as process,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(judge.answer(conversation))
                group.create_task(read_all(process.stderr, _CHUNK))
                while process.stdout is not None and (data := await process.stdout.read(_CHUNK)):
                    await output.take(data, asked=judge.asked)
        finally:
            conversation.close()
        if not judge.asked:
            self._without_question(output)

    def _without_question(self, output: PushOutput) -> None:
        if refusal := output.judge_unasked():
            self._recorder.blocked(refusal, ())

    async def _body(
        self, request: Request, reader: asyncio.StreamReader, response: Response, keep: int
    ) -> IO[bytes]:
        if request.headers.get("expect", "").lower() == "100-continue":
            await response.proceed()
        directory, stalled = self._spec.cache_dir, self._limits.stalled_s
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await spool_body(reader, request, directory, keep=keep, stalled_s=stalled)
        except TimeoutError as error:
            raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, "the request took too long") from error


class Endpoints:
    """Finds the repository and the action for a request."""

    def __init__(self, spec: GitGateSpec, hooks: Path, scanner: Scanner) -> None:
        self._audit = audit = AuditLog(spec.audit_file)
        self.repositories = {
            each.name: Repository(spec, each, hooks, scanner, audit) for each in spec.remotes
        }

    async def answer(self, request: Request, reader: asyncio.StreamReader, response: Response) -> None:
        """Answer one request; raises :class:`BadRequest` for what is not served."""
        match = _ROUTE.fullmatch(request.path)
        repository = self.repositories.get(match[1]) if match else None
        if match is None or repository is None:
            self._record_unknown(request)
            known = ", ".join(sorted(self.repositories)) or "none"
            raise BadRequest(HTTPStatus.NOT_FOUND, f"git-gate: no such repository here (known: {known})")
        expected = "GET" if match[2] == "info/refs" else "POST"
        if request.method != expected:
            raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, f"use {expected}")
        if expected == "GET":
            await repository.advertise(request, response)
            return
        if request.headers.get("content-type") != f"application/x-{match[2]}-request":
            raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not a request of git's smart protocol")
        action = repository.upload if match[2] == "git-upload-pack" else repository.receive
        await action(request, reader, response)

    def _record_unknown(self, request: Request) -> None:
        path = printable(request.path)
        entry = AuditEntry(
            "git-gate", "block", "unknown-remote", method=request.method, path=path, status=404
        )
        with contextlib.suppress(AuditUnavailable):
            self._audit.record(entry)


def _protocol(request: Request) -> dict[str, str]:
    version = request.headers.get("git-protocol", "")
    return {"GIT_PROTOCOL": version} if _PROTOCOL.fullmatch(version) else {}
