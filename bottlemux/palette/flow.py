"""The stack of pages, and how an action is prepared, confirmed and carried out. It knows no screen and no keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bottlemux.actions.model import Become, Done, GoTo, Outcome, Prepared, Subject, Told
from bottlemux.errors import BottlemuxError
from bottlemux.palette import choosing, rows
from bottlemux.palette.pages import BusyPage, ListPage, Page, TextPage
from bottlemux.palette.recent import load_recent, note_recent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.actions.model import Action, Seat
    from bottlemux.lifecycle.context import Context
    from bottlemux.palette.facts import Facts
    from bottlemux.palette.rows import Row
    from bottlemux.session.layout_trust import OwnCommandsError


class Runner(Protocol):
    """Runs a function beside the screen and gives its result to another one, in the screen's thread."""

    def __call__[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Start ``work``; ``done`` gets its result."""
        ...


class Flow:
    """The pages, the newest on top. ``leave`` gets the command that takes over the terminal, or ``None``."""

    def __init__(
        self,
        context: Context,
        *,
        run: Runner,
        leave: Callable[[Sequence[str] | None], None],
        go_argv: Callable[[str | None], Sequence[str]],
        refresh: Callable[[], None] = lambda: None,
        seat: Seat | None = None,
    ) -> None:
        from bottlemux.palette.facts import Facts

        self.facts: Facts = Facts()
        self._run, self._leave, self._refresh = run, leave, refresh
        self._rows: list[Row] = []
        self._chosen = ""
        self.main = ListPage("", self._main_rows, lambda row: choosing.choose(self, row))
        self.pages: list[Page] = [self.main]
        self.take(context, go_argv, seat)

    def take(
        self, context: Context, go_argv: Callable[[str | None], Sequence[str]], seat: Seat | None
    ) -> None:
        """Be about ``context``, for somebody who sits at ``seat``."""
        self.context, self._go_argv, self.seat = context, go_argv, seat
        self.recent = self.main.recent = load_recent(context.paths)

    @property
    def page(self) -> Page:
        """What is shown."""
        return self.pages[-1]

    def know(self, facts: Facts) -> None:
        """Take new facts into all lists."""
        self.facts = facts
        self._rows = rows.main_rows(facts, self.seat)
        for page in self.pages:
            if isinstance(page, ListPage):
                page.refresh()

    def open_at(self, action: Action, subject: Subject | None) -> None:
        """Show nothing but ``action``, with ``subject`` or one to choose: going back from it leaves."""
        self.pages.clear()
        if subject is not None:
            choosing.begin(self, action, subject)
        else:
            choosing.choose_action(self, action)

    def choose(self) -> None:
        """Do what Enter means."""
        page = self.page
        if isinstance(page, ListPage):
            if chosen := page.chosen:
                page.choose(chosen[0])
        elif isinstance(page, TextPage) and not page.question:
            self.back()

    def choose_other(self) -> None:
        """Do what Tab means for what is selected."""
        page = self.page
        if page is self.main:
            self._chosen = ""
        if isinstance(page, ListPage) and (other := choosing.other(self, page)) is not None:
            other.act()

    def answer(self, *, yes: bool) -> None:
        """Answer the question on the page."""
        page = self.page
        if isinstance(page, TextPage) and page.question:
            if yes and page.unseen is None:
                return  # a key that came before the question was on the screen answers nothing
            if yes and page.unseen:
                page.move(10)  # nobody agrees to what was never on the screen
            elif yes and page.answer is not None:
                page.answer()
            elif not yes:
                self.back()

    def back(self) -> None:
        """Go one page back; from the first one, leave."""
        if isinstance(self.page, BusyPage) and not self.page.can_leave:
            return
        if len(self.pages) == 1:
            self.leave()
        else:
            self.pages.pop()

    def leave(self) -> None:
        """Leave and do nothing, unless something is half done."""
        if not isinstance(self.page, BusyPage) or self.page.can_leave:
            self._leave(None)

    def push(self, page: Page) -> None:
        """Show ``page``; going back returns to the one before."""
        if isinstance(page, ListPage):
            page.refresh()
        self.pages.append(page)

    def bottle(self, slug: str) -> Subject:
        """Return the bottle ``slug`` with what is known of it."""
        return rows.subject_of(self.facts, slug, self.seat)

    def bottles(self, slugs: Sequence[str]) -> Subject:
        """Return all of ``slugs``, which run, as one subject."""
        name = slugs[0] if len(slugs) == 1 else ""
        return Subject("bottle", name, alive=True, seat=self.seat, names=tuple(slugs))

    def do(self, action: Action, subject: Subject, agreed: OwnCommandsError | None = None) -> None:
        """Prepare ``action``, show what it will do where it asks, and carry it out.

        ``agreed`` is what it met the last time, and the person has said yes to.
        """
        title = f"{action.title if subject.name else action.label} {subject.name}".strip()
        busy = BusyPage(title, can_leave=True)
        self.push(busy)

        def prepared(result: Prepared | BottlemuxError) -> None:
            if self.page is not busy:
                return
            self.pages.pop()
            if isinstance(result, BottlemuxError):
                self._refused(title, action, subject, result)
            elif result.question:
                self.push(
                    TextPage(title, result.text, result.question, lambda: self._carry_out(title, result))
                )
            else:
                self._carry_out(title, result)

        self._run(lambda: _or_error(lambda: _prepare(self.context, action, subject, agreed)), prepared)

    def _refused(self, title: str, action: Action, subject: Subject, error: BottlemuxError) -> None:
        from bottlemux.lifecycle.arranging import WhichWindowError
        from bottlemux.session.layout_trust import OwnCommandsError

        if isinstance(error, WhichWindowError):
            choosing.choose_window(self, title, action, subject)
            return
        if not isinstance(error, OwnCommandsError):
            self._show_error(title, error)
            return

        def again() -> None:
            self.pages.pop()
            self.do(action, subject, error)

        self.push(TextPage(title, error.text, error.question, again))

    def remember(self, row: Row) -> None:
        """Offer ``row`` among the first the next time, once what is done with it has worked."""
        self._chosen = row.key

    def _carry_out(self, title: str, prepared: Prepared) -> None:
        self.push(BusyPage(title))

        def work() -> Told | Sequence[str] | BottlemuxError | None:
            return _or_error(lambda: self._resolved(prepared.carry_out()))

        def done(result: Told | Sequence[str] | BottlemuxError | None) -> None:
            if self._chosen and not isinstance(result, BottlemuxError):
                note_recent(self.context.paths, self._chosen)
            if not isinstance(result, BottlemuxError | Told):
                self._leave(result)
                return
            self.pages.pop()
            if isinstance(result, Told):
                self._tell(title, result.text)
            else:
                self._show_error(title, result)

        self._run(work, done)

    def _tell(self, title: str, text: str) -> None:
        """Show what came of an action; back from it is the main list, if that is where the person came from."""
        self._refresh()
        self.pages[:] = self.pages[:1] if self.pages[:1] == [self.main] else []
        self.main.search("")
        self.push(TextPage(title, text))

    def _resolved(self, outcome: Outcome) -> Told | Sequence[str] | None:
        match outcome:
            case GoTo(slug):
                return self._go_argv(slug)
            case Become(argv):
                return argv
            case Told():
                return outcome
            case Done():
                return None

    def _show_error(self, title: str, error: BottlemuxError) -> None:
        text = "\n".join([error.message, *error.also, "", error.advice]).rstrip()
        self.push(TextPage(f"{title}: failed", text))

    def _main_rows(self, query: str) -> list[Row]:
        return [row for row in self._rows if row.target == "agent"] if ":" in query else self._rows


def _prepare(context: Context, action: Action, subject: Subject, agreed: OwnCommandsError | None) -> Prepared:
    if agreed is not None:
        agreed.agree()
    if reason := action.applies(subject):
        raise BottlemuxError(f"{action.label}: {reason}")
    return action.prepare(context, subject)


def _or_error[T](work: Callable[[], T]) -> T | BottlemuxError:
    try:
        return work()
    except BottlemuxError as error:
        return error
