"""One push, from git's question to upstream's answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidecars.git_gate.policy import RefUpdate, check_history, check_update, parse_updates
from sidecars.git_gate.pushon import push_on
from sidecars.git_gate.refusal import Refused
from sidecars.git_gate.scanning import Scanner, scan_push

if TYPE_CHECKING:
    from sidecars.git_gate.gitcmd import Git
    from sidecars.git_gate.hooks import Conversation, Question
    from sidecars.git_gate.mirror import Mirror
    from sidecars.git_gate.record import Recorder
    from sidecars.git_gate.spec import Limits

_log = logging.getLogger(__name__)
_INTERNAL = "fetch to see where upstream stands, and ask the operator to look into the gate's log"


class PushJudge:
    """Decides on one push to a mirror: names, history, secrets, upstream, in this order.

    ``asked`` turns true when git's hook asks. A receive-pack that accepts something without asking is not
    believed.
    """

    def __init__(self, mirror: Mirror, scanner: Scanner, recorder: Recorder, limits: Limits) -> None:
        self._mirror = mirror
        self._scanner = scanner
        self._record = recorder
        self._limits = limits
        self.asked = False

    async def answer(self, conversation: Conversation) -> None:
        """Hear git's question, decide and answer, ending the conversation. The caller holds the lock."""
        try:
            await self._answer(conversation)
        finally:
            conversation.close()

    async def _answer(self, conversation: Conversation) -> None:
        updates: tuple[RefUpdate, ...] = ()
        try:
            question = await conversation.hear()
            if question is None:
                return
            self.asked = True
            updates = parse_updates(question.updates, limit=self._limits.refs)
            said = await self._decide(question, updates)
        except Refused as refusal:
            await self._refuse(conversation, refusal, updates)
            return
        except Exception:  # noqa: BLE001 - whatever it is, the agent is told and it is recorded
            _log.exception("a push could not be judged")
            await self._refuse(conversation, Refused("internal", "the gate failed", hint=_INTERNAL), updates)
            return
        await conversation.say(said)
        await conversation.accept()

    async def _refuse(
        self, conversation: Conversation, refusal: Refused, updates: tuple[RefUpdate, ...]
    ) -> None:
        self._record.blocked(refusal, updates)
        await conversation.say(refusal.lines())

    async def _decide(self, question: Question, updates: tuple[RefUpdate, ...]) -> list[str]:
        remote = self._mirror.in_force
        for update in updates:
            check_update(update, remote)
        quarantined = self._object_directories(question.quarantine)
        git = self._mirror.git.with_extra(**quarantined)
        refs = await self._mirror.refs()
        for update in updates:
            forward = update.creates or update.deletes or await self._is_ancestor(git, update)
            check_history(update, self._mirror.remote, current=refs.get(update.ref, ""), fast_forward=forward)
        await scan_push(self._scanner, git, updates, self._limits)
        self._record.may_push(updates)
        upstream = self._mirror.to_upstream.with_extra(**quarantined)
        said = await push_on(upstream, self._mirror.remote, updates, timeout_s=self._limits.push_s)
        self._record.pushed(updates)
        return said

    def _object_directories(self, quarantine: str) -> dict[str, str]:
        """Let git see the new objects; the variable that forbids pushing from a quarantine is left out."""
        if not quarantine:
            return {}
        own = str(self._mirror.git.repository / "objects")
        return {"GIT_OBJECT_DIRECTORY": quarantine, "GIT_ALTERNATE_OBJECT_DIRECTORIES": own}

    async def _is_ancestor(self, git: Git, update: RefUpdate) -> bool:
        return (await git.run("merge-base", "--is-ancestor", update.old, update.new)).code == 0
