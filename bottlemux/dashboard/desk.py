"""What the keys do: it joins the board with the catalogue of actions, and knows no screen."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from bottlemux.actions.catalogue import find_action
from bottlemux.actions.model import Become, Done, GoTo, Outcome, Prepared, Subject, Told
from bottlemux.dashboard.board import Board
from bottlemux.dashboard.details import Details
from bottlemux.dashboard.notices import Notices
from bottlemux.dashboard.pages import InputLine, TextPage
from bottlemux.errors import BottlemuxError
from bottlemux.screens.lines import text_lines
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.actions.model import Action
    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

READ_S = 1.0
"""How long a request must have been on the screen until one key decides about it: a key that was meant for what was
there before, pressed twice or held down, must not approve what took its place."""

_MAX_REQUEST = 120


class Runner(Protocol):
    """Runs a function beside the screen and gives its result to another one, in the screen's thread."""

    def __call__[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Start ``work``; ``done`` gets its result."""
        ...


class Places(Protocol):
    """Gets the person somewhere else, and back. Both may take long, and raise a ``BottlemuxError``."""

    def go(self, slug: str | None) -> None:
        """Show the window of ``slug``."""
        ...

    def show(self, argv: Sequence[str]) -> None:
        """Show a program of its own until it ends."""
        ...


class Desk:
    """The state of the dashboard. Everything here happens in the screen's thread."""

    def __init__(
        self,
        context: Context,
        *,
        run: Runner,
        places: Places,
        leave: Callable[[], None] | None,
        mark: Callable[[str], str],
    ) -> None:
        self.context = context
        self.mark = mark
        self.board = Board()
        self.notices = Notices()
        self.details = Details()
        self.pages: list[TextPage] = []
        self.line: InputLine | None = None
        self._asked_whole: tuple[tuple[str, ...], float] = (), 0.0
        self._run, self._places, self._leave = run, places, leave

    @property
    def can_leave(self) -> bool:
        """Whether this is any other dashboard than the workspace's own window."""
        return self._leave is not None

    @property
    def present_details(self) -> Details:
        """The details of what is selected now; empty until they were read."""
        proposal = self.board.proposal
        selected = (self.board.selected, proposal.id if proposal is not None else "")
        return self.details if (self.details.slug, self.details.ask) == selected else Details()

    @property
    def page(self) -> TextPage | None:
        """The page on top, if any lies over the list."""
        return self.pages[-1] if self.pages else None

    @property
    def asked_whole(self) -> tuple[str, ...]:
        """The text of the proposal that is on the screen, if the screen shows all of it."""
        return self._asked_whole[0]

    @property
    def asked_read(self) -> tuple[str, ...]:
        """The same, once it has been there for long enough to be read."""
        text, since = self._asked_whole
        return text if time.monotonic() - since >= READ_S else ()

    def note_asked(self, whole: tuple[str, ...]) -> None:
        """Note the text of the proposal that is drawn now; empty where the screen has no room for all of it."""
        if whole != self.asked_whole:
            self._asked_whole = whole, time.monotonic()

    # -- what a key does with the selected bottle

    def go(self) -> None:
        """Go to the window of the selected bottle."""
        self._with_bottle("go")

    def act(self, name: str) -> None:
        """Do the action ``name`` with the selected bottle, after its question if it has one."""
        self._with_bottle(name)

    def new(self) -> None:
        """Open what chooses an agent and starts it, for the project of the selected bottle."""
        row = self.board.current
        directory = str(self.context.cwd)
        if row is not None:
            with contextlib.suppress(BottlemuxError):
                directory = self.context.store.load(row.slug).cwd
        self._show(
            "the palette", self.context.own_argv("palette", "--here", "--do", "start", "--cwd", directory)
        )

    def prompt(self) -> None:
        """Open what marks agents and gives all of them the same prompt."""
        self._show("the palette", self.context.own_argv("palette", "--here", "--do", "prompt"))

    def decide(self, name: str) -> None:
        """Approve what is asked for. What was not on the screen as a whole, and for a moment, is shown first."""
        proposal = self._asked()
        if proposal is not None:
            shown = "\n".join(self.asked_read)
            subject = Subject("proposal", proposal.id)
            self._do(find_action(name), subject, proposal.slug, lambda text: text == shown)

    def reject(self) -> None:
        """Ask for a reason, then reject what is selected now, whatever is selected by then."""
        proposal = self._asked()
        if proposal is None:
            return

        def done(reason: str) -> None:
            subject = Subject("proposal", proposal.id, typed=reason)
            self._do(find_action("reject"), subject, proposal.slug, lambda _text: True)

        self.line = InputLine("reason: ", done, question=_rejecting(proposal))

    def _asked(self) -> Proposal | None:
        proposal = self.board.proposal
        if proposal is None:
            self.notices.complain("nothing is asked for here: Tab goes to what is")
        return proposal

    def next_ask(self) -> None:
        """Select what is asked for next, over all bottles."""
        if not self.board.next_proposal():
            self.notices.tell("no agent asks for anything")

    # -- pages and lines

    def filter(self) -> None:
        """Type what the list is filtered by."""
        self.line = InputLine(
            "filter (Esc clears it): ", self.board.search, self.board.search, self.board.query
        )

    def enter(self, text: str) -> None:
        """Finish the line that is typed."""
        line, self.line = self.line, None
        if line is not None:
            line.done(text)

    def show_details(self) -> None:
        """Show all that is known of the selected bottle, to scroll in."""
        details = self.present_details
        screen = ["", "the end of its agent's screen:", *details.screen] if details.screen else []
        self.pages.append(TextPage(details.slug or "no bottle", [*details.asked, *details.facts, *screen]))

    def show_message(self) -> None:
        """Show the whole of the last message."""
        latest = self.notices.latest
        if latest is not None:
            self.pages.append(TextPage("the last message", text_lines(latest[1])))

    def scroll(self, steps: int) -> None:
        """Scroll the page on top by lines."""
        if self.page is not None:
            self.page.move(steps)

    def answer(self, *, yes: bool) -> None:
        """Answer the question of the page on top."""
        page = self.page
        if page is None or not page.question:
            return
        if yes and not page.seen:
            page.move(10)
            return
        self.pages.pop()
        if yes and page.answer is not None:
            page.answer()

    def back(self) -> None:
        """Close what lies on top: a line, a page, a notice, the filter."""
        if self.line is not None:
            if self.line.changed is not None:
                self.line.changed("")
            self.line = None
        elif self.pages:
            self.pages.pop()
        elif not self.notices.dismiss():
            self.board.search("")

    def leave(self) -> None:
        """Leave the dashboard, unless it is the workspace's own window or something is half done."""
        if self._leave is None:
            self.notices.tell("this window stays: your keys for tmux's windows leave it, prefix d detaches")
        elif self.notices.busy:
            self.notices.complain(f"not yet: {', '.join(self.notices.busy.values())}")
        else:
            self._leave()

    # -- carrying out

    def _with_bottle(self, name: str) -> None:
        row = self.board.current
        if row is None:
            self.notices.complain("there is no bottle: n starts an agent in one")
            return
        action = find_action(name)
        subject = Subject("bottle", row.slug, is_alive(self.context.paths.bottle(row.slug)))
        if reason := action.applies(subject):
            self.notices.complain(f"{action.title} {row.slug}: {_with_key(reason)}")
            return
        self._do(action, subject, row.slug)

    def _do(
        self,
        action: Action,
        subject: Subject,
        slug: str,
        was_shown: Callable[[str], bool] = lambda _text: False,
    ) -> None:
        title = f"{action.title} {slug}"
        if slug in self.notices.busy:
            self.notices.complain(f"{title}: wait, {self.notices.busy[slug]}")
            return

        def prepared(result: Prepared | BottlemuxError) -> None:
            self.notices.busy.pop(slug, None)
            if isinstance(result, BottlemuxError):
                self._failed(title, result)
            elif result.question and not was_shown(result.text):
                self.pages.append(_question(title, result, lambda: self._carry_out(action, slug, result)))
            else:
                self._carry_out(action, slug, result)

        self._begin(slug, title, lambda: _or_error(lambda: action.prepare(self.context, subject)), prepared)

    def _carry_out(self, action: Action, slug: str, prepared: Prepared) -> None:
        title = f"{action.title} {slug}"

        def done(result: Outcome | BottlemuxError) -> None:
            self.notices.busy.pop(slug, None)
            match result:
                case BottlemuxError():
                    self._failed(title, result)
                case GoTo(target) if action.name == "go":
                    self._arrive(title, target)
                case GoTo(done=done):
                    # It may have taken long, and the person is at something else by now.
                    self.notices.tell(f"{title}: {done}, Enter goes there")
                case Become(argv):
                    self._show(title, argv)
                case Told(text):
                    self.notices.tell(text)
                case Done():
                    pass

        self._begin(slug, title, lambda: _or_error(prepared.carry_out), done)

    def _arrive(self, title: str, slug: str | None) -> None:
        self._run(lambda: _or_error(lambda: self._places.go(slug)), lambda result: self._after(title, result))

    def _show(self, title: str, argv: Sequence[str]) -> None:
        self._run(
            lambda: _or_error(lambda: self._places.show(argv)), lambda result: self._after(title, result)
        )

    def _after(self, title: str, result: object) -> None:
        if isinstance(result, BottlemuxError):
            self._failed(title, result)

    def _begin[T](self, slug: str, title: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self.notices.busy[slug] = title
        self._run(work, done)

    def _failed(self, title: str, error: BottlemuxError) -> None:
        hint = f" ({error.advice})" if error.advice else ""
        self.notices.complain(f"{title}: {error.message}{hint}")


def _question(title: str, prepared: Prepared, answer: Callable[[], None]) -> TextPage:
    return TextPage(title, text_lines(prepared.text), prepared.question, answer)


def _rejecting(proposal: Proposal) -> str:
    from bottlemux.approvals.showing import cut, request_text

    what = cut(request_text(proposal), _MAX_REQUEST)
    return (
        f"reject what {proposal.slug} asks for: {what}? Enter rejects, with or without a reason; Esc does not"
    )


def _with_key(reason: str) -> str:
    return reason.replace("resume it", "R resumes it").replace("stop it", "s stops it")


def _or_error[T](work: Callable[[], T]) -> T | BottlemuxError:
    try:
        return work()
    except BottlemuxError as error:
        return error
    except OSError as error:
        return BottlemuxError(str(error))
