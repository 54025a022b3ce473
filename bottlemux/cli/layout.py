"""``bottlemux layout``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import console, trusting

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.layout_files import LayoutFile


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the layouts there are, and whose they are")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=_list)
    show = actions.add_parser("show", help="print a layout's file")
    show.set_defaults(run=_show)
    save = actions.add_parser("save", help="keep a live window as a layout of yours")
    save.add_argument("--session", action="store_true", help="the windows of all bottles")
    save.add_argument("--force", action="store_true", help="replace a layout of this name")
    save.set_defaults(run=_save)
    apply = actions.add_parser("apply", help="rearrange a running window, or start and arrange a session")
    apply.add_argument("--close", action="store_true", help="end the panes that the layout has no place for")
    apply.add_argument(
        "--session", action="store_true", help="all windows, as a layout with several windows always is"
    )
    apply.add_argument(
        "-y", "--yes", action="store_true", help="start what the layout names without a question"
    )
    apply.set_defaults(run=_apply)
    schema = actions.add_parser("schema", help="print the JSON schema of layout files, for editors")
    schema.set_defaults(run=_schema)
    remove = actions.add_parser("rm", help="delete a layout of yours")
    remove.set_defaults(run=_remove)
    for action in (show, save, apply, remove):
        action.add_argument("name", metavar="LAYOUT", help="a layout")
    _add_slug(save)
    _add_slug(apply)


def _add_slug(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "slug",
        metavar="SLUG",
        nargs="?",
        default=argparse.SUPPRESS,
        help="the bottle whose window it is (default: the window this is called from)",
    )
    one.add_argument("--slug", metavar="SLUG", help="the same")


def _list(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.session.layout_files import list_layouts

    layouts = list_layouts(context.paths, context.cwd)
    rows = [(file, top) for top in layouts for file in (top, *top.hides)]
    if options.json:
        console.write_json([_record(file, top) for file, top in rows])
        return 0
    cells = [(file.name, _origin(file, top), str(file.path)) for file, top in rows]
    for line in console.table(cells, ("NAME", "ORIGIN", "FILE")):
        sys.stdout.write(line + "\n")
    return 0


def _record(file: LayoutFile, top: LayoutFile) -> dict[str, str]:
    hidden_by = "" if file is top else top.origin
    return {"name": file.name, "origin": file.origin, "path": str(file.path), "hidden_by": hidden_by}


def _origin(file: LayoutFile, top: LayoutFile) -> str:
    if file is top:
        return file.origin
    return f"{file.origin}, hidden by {'yours' if top.origin == 'user' else 'the shipped one'}"


def _show(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.session.layout_trust import OwnCommandsError
    from bottlemux.text import printable

    file = trusting.find(context, options.name, context.cwd)
    with contextlib.suppress(OwnCommandsError):  # to be read before it is agreed to
        file.load()
    for line in file.text().splitlines():
        sys.stdout.write(printable(line) + "\n")
    return 0


def _schema(_context: Context, _options: argparse.Namespace) -> int:
    from bottlemux.session.layout_files import json_schema

    sys.stdout.write(json_schema())
    return 0


def _save(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.lifecycle import arranging
    from bottlemux.session.layout_files import find_layout

    windows = (
        context.workspace.list() if options.session else [arranging.current_window(context, options.slug)]
    )
    path = arranging.save(
        context, options.name, arranging.capture(context, windows), replace_old=options.force
    )
    sys.stdout.write(f"{path}: saved from {', '.join(window.slug for window in windows)}\n")
    if news := find_layout(options.name, context.paths, context.cwd).news:
        sys.stderr.write(f"{news}\n")
    return 0


def _apply(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.lifecycle import arranging

    info = arranging.current_window(context, options.slug) if options.slug else None
    directory = Path(context.store.load(info.slug).cwd) if info else context.cwd
    file = trusting.find(context, options.name, directory)
    layout = trusting.asking(file.load)
    if layout is None:
        return 1
    if info is None and (options.session or layout.is_session):
        return _apply_session(context, file, options)
    info = info or arranging.current_window(context, None)
    arranging.apply(context, file, info, close=options.close)
    sys.stdout.write(f"{info.slug}: now in layout {options.name}\n")
    return 0


def _apply_session(context: Context, file: LayoutFile, options: argparse.Namespace) -> int:
    from bottlemux.cli.arranging import arrange_session

    code = arrange_session(context, file, yes=options.yes, close=options.close)
    return 1 if code is None else code


def _remove(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.lifecycle.arranging import remove

    sys.stdout.write(f"{remove(context, options.name)}: removed\n")
    return 0
