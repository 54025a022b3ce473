"""Saved layouts: given to running windows, taken from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.conditions import any_running, before_a_bottle, own_layout
from bottlemux.actions.model import Action, GoTo, Outcome, Prepared, Told, Typed
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from bottlemux.actions.model import Subject
    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.sessions import Part
    from bottlemux.session.layout_files import LayoutFile


def _apply(context: Context, subject: Subject) -> Prepared:
    from bottlemux.lifecycle import arranging
    from bottlemux.session.layout_files import find_layout

    file = find_layout(subject.name, context.paths, context.cwd)
    if file.load().is_session:
        return _apply_session(context, file)
    slug = subject.names[0] if subject.names else _in_front(subject)
    slug = arranging.current_window(context, slug).slug

    def carry_out() -> Outcome:
        info = arranging.current_window(context, slug)
        arranging.apply(context, file, info)
        return GoTo(info.slug)

    return Prepared(carry_out)


def _apply_session(context: Context, file: LayoutFile) -> Prepared:
    from bottlemux.lifecycle.attaching import open_missing
    from bottlemux.lifecycle.sessions import carry_out, plan_session

    lines = [f"{slug}: {problem.message}" for slug, problem in open_missing(context).items()]
    plan = plan_session(context, file)
    lines += [f"{part.name}: {problem.message}" for part, problem in plan.failed]

    def report(part: Part, outcome: str | BottlemuxError) -> None:
        lines.append(
            f"{part.name}: {outcome.message}"
            if isinstance(outcome, BottlemuxError)
            else f"{outcome}: started"
        )

    def act() -> Outcome:
        lines.extend(f"{slug}: now in layout {file.name}" for slug in carry_out(context, plan, report))
        return Told("\n".join(lines))

    return Prepared(act, "\n".join([*lines, plan.text()]), plan.question)


def _save(context: Context, subject: Subject) -> Prepared:
    from bottlemux.session.layout_files import check_name, find_layout

    name, slug = check_name(subject.typed), _in_front(subject)
    exists = (context.paths.layouts / f"{name}.yaml").exists()

    def carry_out() -> Outcome:
        from bottlemux.lifecycle import arranging

        layout = arranging.capture(context, [arranging.current_window(context, slug)])
        path = arranging.save(context, name, layout, replace_old=exists)
        news = find_layout(name, context.paths, context.cwd).news
        return Told("\n".join([f"{path}: saved", *filter(None, [news])]))

    text = f"there is a layout {name!r} of yours already" if exists else ""
    return Prepared(carry_out, text, "Replace it?" if exists else "")


def _remove(context: Context, subject: Subject) -> Prepared:
    from bottlemux.session.layout_files import find_layout

    found = find_layout(subject.name, context.paths, context.cwd)
    if found.origin != "user":
        raise UsageError(f"layout {subject.name!r} is not one of yours ({found.origin}: {found.path})")

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.arranging import remove

        return Told(f"{remove(context, subject.name)}: removed")

    return Prepared(carry_out, f"deletes {found.path}", "Delete it?")


def _in_front(subject: Subject) -> str | None:
    return subject.seat.slug or None if subject.seat is not None else None


LAYOUT_ACTIONS = (
    Action("apply-layout", "arrange as", "Rearrange the window in front of you; its programs go on.", ("L",),
           "layout", any_running, _apply, "arrange"),
    Action("rm-layout", "delete layout", "Delete a layout of yours.", (), "layout", own_layout, _remove, "arrange"),
    Action("save-layout", "save layout", "Keep the window in front of you as a layout of yours.", (), "workspace",
           before_a_bottle, _save, "arrange", typed=Typed("name of the layout")),
)  # fmt: skip
