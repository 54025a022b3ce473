"""``bottlemux diff``."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bottlemux.lifecycle.changes import Review
    from bottlemux.lifecycle.context import Context

_PAUSE_S = 2.0
_IDLE_SHARE = 5
_TAB = 8
# Home, then the screen and what scrolled off it are cleared.
_CLEAR = "\033[H\033[2J\033[3J"
_HIDDEN_SHOWN = 20
_RESET = "\033[m"
_HINT = f"\033[7m-- shown anew as it changes; Ctrl-C ends --{_RESET}"
_COLOURS = (("+++", "1"), ("---", "1"), ("diff ", "1"), ("@@", "36"), ("+", "32"), ("-", "31"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slug", metavar="SLUG", help="a bottle, running or ended")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--stat", action="store_true", help="only the files, with how much changed")
    form.add_argument("-f", "--follow", action="store_true", help="show it anew as it changes; Ctrl-C ends")
    form.add_argument(
        "--raw", action="store_true", help="the patch byte for byte, for git apply; not to a terminal"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Show what the agent changed since its bottle was started; its text is escaped, the colours are ours."""
    from bottlemux.lifecycle.changes import Review, comparison

    if options.raw and sys.stdout.isatty():
        raise UsageError(
            "the raw patch may hold escape sequences of the agent's: it is not shown on a terminal",
            hint=f"bottlemux diff {options.slug} --raw > changes.patch",
        )
    record = context.store.load(context.store.resolve_prefix(options.slug))
    with Review(comparison(context, record)) as review:
        if options.follow:
            _follow(review)
        elif options.raw:
            sys.stdout.buffer.write(_whole(review.diff("--binary")))
        else:
            _show(context, review.diff("--stat=100" if options.stat else "--patch"))
        _tell_hidden(review)
    return 0


def _tell_hidden(review: Review) -> None:
    """Say what is not in the comparison: what git ignores, by rules that may be the agent's, and what it choked on."""
    for line in review.hidden[:_HIDDEN_SHOWN]:
        sys.stderr.write(f"bottlemux: warning: not shown: {printable(line)}\n")
    if (more := len(review.hidden) - _HIDDEN_SHOWN) > 0:
        sys.stderr.write(f"bottlemux: warning: not shown: {more} more\n")


def _whole(patch: bytes) -> bytes:
    """Return ``patch``; one that was cut must not be applied."""
    from bottlemux.lifecycle.changes import MAX_DIFF_BYTES

    if len(patch) >= MAX_DIFF_BYTES:
        raise BottlemuxError(
            f"the patch is larger than {MAX_DIFF_BYTES >> 20} MiB",
            hint="start the agent with --workspace clone",
        )
    return patch


def coloured(diff: bytes, *, colours: bool) -> Iterator[str]:
    """Yield the lines of ``diff``, harmless to a terminal whatever is in them."""
    for raw in diff.removesuffix(b"\n").split(b"\n") if diff else ():
        text = raw.decode("utf-8", "replace").expandtabs(_TAB)
        line = printable(text)
        colour = next((code for prefix, code in _COLOURS if text.startswith(prefix)), "")
        yield f"\033[{colour}m{line}{_RESET}\n" if colours and colour else f"{line}\n"


def _show(context: Context, diff: bytes) -> None:
    from bottlemux.lifecycle.changes import MAX_DIFF_BYTES

    if len(diff) >= MAX_DIFF_BYTES:
        sys.stderr.write(f"bottlemux: warning: only the first {MAX_DIFF_BYTES >> 20} MiB are shown\n")
    if not console.is_interactive():
        sys.stdout.writelines(coloured(diff, colours=False))
        return
    if not diff:
        sys.stdout.write("nothing was changed\n")
        return
    pager = shlex.split(context.environ.get("PAGER") or "less")
    if shutil.which(pager[0]) is None:
        sys.stdout.writelines(coloured(diff, colours=True))
        return
    environ = {"LESS": "FRX", "LESSSECURE": "1", **context.environ}
    text = "".join(coloured(diff, colours=True))
    with contextlib.suppress(BrokenPipeError):
        subprocess.run(pager, input=text, env=environ, encoding="utf-8", check=False)


def _follow(review: Review) -> None:
    # A pane that is closed hangs up: end as by Ctrl-C, so that the index of the review is removed.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    shown: bytes | None = None
    while True:
        began = time.monotonic()
        try:
            diff = review.diff("--patch-with-stat")
            diff += "".join(f"not shown: {line}\n" for line in review.hidden[:_HIDDEN_SHOWN]).encode()
        except BottlemuxError as error:
            # The agent may be half way through a change; the next look may succeed.
            diff = error.message.encode()
        if diff != shown:
            shown = diff
            _paint(diff)
        # A large working copy must not keep a processor busy.
        time.sleep(max(_PAUSE_S, _IDLE_SHARE * (time.monotonic() - began)))


def _paint(diff: bytes) -> None:
    terminal = sys.stdout.isatty()
    if terminal:
        sys.stdout.write(_CLEAR)
    sys.stdout.writelines(coloured(diff or b"nothing was changed", colours=terminal))
    if terminal:
        sys.stdout.write(_HINT)
    sys.stdout.flush()
