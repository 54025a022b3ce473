"""What can be done with one bottle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.conditions import always, ended, running
from bottlemux.actions.model import Action, Become, GoTo, Outcome, Prepared, Told, Typed
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.actions.model import Subject
    from bottlemux.lifecycle.context import Context


def _go(context: Context, subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        if context.workspace.find(subject.name) is None:
            _bring_back(context, subject.name)
        return GoTo(subject.name)

    return Prepared(carry_out)


def _resume(context: Context, subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        return GoTo(subject.name, _bring_back(context, subject.name))

    missing = _missing_credentials(context, subject.name)
    if not missing:
        return Prepared(carry_out)
    text = f"{', '.join(missing)} is not set here: {subject.name} would come back without it\n"
    text += f"where it is set: bottlemux resume {subject.name}"
    return Prepared(carry_out, text, "Resume it all the same?")


def _missing_credentials(context: Context, slug: str) -> list[str]:
    """Return the credentials that an ended bottle had and would not have again: tmux's environment holds none."""
    from bottlemux.lifecycle.planning import missing_credentials, plan_resume
    from bottlemux.state.liveness import is_alive

    record = context.store.load(slug)
    if not record.credentials or is_alive(context.paths.bottle(slug)):
        return []
    return missing_credentials(record, plan_resume(context, record))


def _bring_back(context: Context, slug: str) -> str:
    from bottlemux.lifecycle.running import resume

    return resume(context, context.store.load(slug))


def _restart(context: Context, subject: Subject) -> Prepared:
    record = context.store.load(subject.name)

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.running import restart_agent

        restart_agent(context, record)
        return GoTo(record.identity)

    text = f"{record.identity}: ends the agent's program and starts it again; bottle and other panes stay"
    return Prepared(carry_out, text, "Restart it?")


def _stop(context: Context, subject: Subject) -> Prepared:
    record = context.store.load(subject.name)

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.running import stop

        stop(context, record.identity)
        return Told(f"{record.identity}: stopped")

    text = f"{record.identity}: ends its program, its sidecars and its window; its state stays for resume"
    return Prepared(carry_out, text, "Stop it?")


def _remove(context: Context, subject: Subject) -> Prepared:
    record = context.store.load(subject.name)

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.running import remove

        remove(context, record.identity)
        return Told(f"{record.identity}: removed")

    lost = "its record, logs and home"
    if record.workspace != "mount":
        lost += f", and its working copy ({record.workspace}): what was not pushed is lost"
    return Prepared(carry_out, f"{record.identity}: deletes {lost}", "Delete it?")


def _shell(context: Context, subject: Subject) -> Prepared:
    argv = context.own_argv("exec", subject.name, "--", "/bin/bash", "-l")
    return Prepared(lambda: Become(tuple(argv)))


def _audit(context: Context, subject: Subject) -> Prepared:
    return _following(context, "audit", subject)


def _logs(context: Context, subject: Subject) -> Prepared:
    return _following(context, "logs", subject)


def _diff(context: Context, subject: Subject) -> Prepared:
    from bottlemux.lifecycle.changes import comparison

    comparison(
        context, context.store.load(subject.name)
    )  # in a terminal of its own, what it raises is gone at once
    argv = context.own_argv("diff", subject.name, "--follow")
    return Prepared(lambda: Become(tuple(argv)))


def _following(context: Context, command: str, subject: Subject) -> Prepared:
    argv = context.own_argv(command, subject.name, "-f")
    return Prepared(lambda: Become(tuple(argv)))


def _fetch(context: Context, subject: Subject) -> Prepared:
    record = context.store.load(subject.name)

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.changes import fetch

        fetched = fetch(context, record)
        count = len(fetched.commits) or "no"
        lines = [f"{fetched.branch} is at {fetched.commit[:12]}: {count} new commits", *fetched.commits]
        return Told("\n  ".join(lines))

    text = (
        f"brings the commits of {record.identity} into {record.cwd} as the branch bottlemux/{record.identity}"
    )
    return Prepared(carry_out, text, "Fetch them?")


def _status(context: Context, subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.actions.report import describe_bottle

        return Told(describe_bottle(context, subject.name))

    return Prepared(carry_out)


def _zoom(context: Context, subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        context.workspace.zoom(subject.name)
        return GoTo(subject.name)

    return Prepared(carry_out)


def _copy(context: Context, subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        # -w: to the terminal's clipboard too, where tmux and the terminal allow it.
        context.workspace.server.batch([["set-buffer", "-w", "--", subject.name]])
        return Told(f"{subject.name} is in tmux's paste buffer")

    return Prepared(carry_out)


def _prompt(context: Context, subject: Subject) -> Prepared:
    from bottlemux.lifecycle.prompting import check_text, obstacles, send_prompts

    check_text(subject.typed)
    found = obstacles(context, subject.names or (subject.name,))
    takers = [slug for slug, obstacle in found.items() if obstacle is None]
    if not takers:
        raise _joined([obstacle for obstacle in found.values() if obstacle is not None])

    def carry_out() -> Outcome:
        sent = send_prompts(context, takers, subject.typed)
        return Told("\n".join(f"{slug}: {outcome}" for slug, outcome in sent))

    agents = [f"{slug} gets it" if obstacle is None else str(obstacle) for slug, obstacle in found.items()]
    question = f"Submit it to {len(takers)} agent{'' if len(takers) == 1 else 's'}?"
    return Prepared(carry_out, "\n".join([subject.typed, "", *agents]), question)


def _joined(errors: Sequence[BottlemuxError]) -> BottlemuxError:
    return BottlemuxError("; ".join(error.message for error in errors), hint=errors[0].hint)


BOTTLE_ACTIONS = (
    Action("go", "go to", "Go to the bottle's window.", ("g",), "bottle", running, _go, "go", "quiet"),
    Action(
        "resume", "resume",
        "Bring back what is missing: the bottle, its window, or the program that ended in it.",
        ("r",), "bottle", always, _resume, "work",
    ),
    Action("shell", "shell in", "Open a shell in the bottle.", ("S",), "bottle", running, _shell, "work",
           "terminal"),
    Action("diff", "changes of", "Follow what the agent changed; Ctrl-C ends.", ("d",), "bottle", always, _diff,
           "look", "terminal"),
    Action("prompt", "prompt", "Submit the same prompt to one agent or several.", ("P",), "bottle", running, _prompt,
           "work", typed=Typed("text"), several=True),
    Action("fetch", "fetch from", "Bring the agent's commits into the project as a branch.", ("f",), "bottle",
           always, _fetch, "work"),
    Action("audit", "audit of", "Follow what the bottle asks of the network; Ctrl-C ends.", ("A",), "bottle",
           always, _audit, "look", "terminal"),
    Action("logs", "logs of", "Follow the logs of the bottle's sidecars; Ctrl-C ends.", ("l",), "bottle", always,
           _logs, "look", "terminal"),
    Action("bottle-status", "status of", "Show state, use of the machine, and sidecars.", ("i",), "bottle",
           always, _status, "look"),
    Action("zoom", "zoom", "Show the agent's pane alone, or all panes again.", ("z",), "bottle", running, _zoom,
           "arrange", "quiet"),
    Action("copy", "copy name of", "Put its name into tmux's paste buffer.", ("y",), "bottle", running, _copy,
           "look", "quiet"),
    Action("restart", "restart agent of", "End the agent's program and start it again in its bottle.", ("R",),
           "bottle", running, _restart, "work"),
    Action("stop", "stop", "End bottle, sidecars and window; the state stays.", ("x",), "bottle", running, _stop,
           "end"),
    Action("rm", "delete", "Delete the state of an ended bottle.", ("X",), "bottle", ended, _remove, "end"),
)  # fmt: skip
"""In the order in which they are offered."""
