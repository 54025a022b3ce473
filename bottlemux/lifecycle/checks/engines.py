"""The backends, asked all at once: an engine that does not answer costs a few seconds, not the whole report."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from backends.contract import Availability
from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.checks.model import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bottlemux.lifecycle.context import Context

PATIENCE_S = 4.0
LONG_PATIENCE_S = 20.0


def check_backends(context: Context) -> Iterator[Check]:
    """Look: what runs bottles here."""
    answers = availabilities(context, PATIENCE_S)
    works = any(answer for answer in answers.values() if answer is not None)
    for name, answer in answers.items():
        yield judge_backend(name, answer)
    if not works:
        yield Check("backends", "error", "none works, so no bottle can be made", "mend one of those above")


def availabilities(context: Context, patience: float) -> dict[str, Availability | None]:
    """Return the answer of every backend, and of every engine elsewhere that the settings name."""
    from backends.registry import every_backend_name, get_bottle_backend

    def asking(name: str) -> Callable[[], Availability]:
        return lambda: get_bottle_backend(name, paths=context.paths).is_available()

    return ask_all({name: asking(name) for name in every_backend_name(context.paths)}, patience)


def ask_all(
    questions: Mapping[str, Callable[[], Availability]], patience: float
) -> dict[str, Availability | None]:
    """Return the answer to each question; ``None`` for one that took longer than ``patience`` seconds.

    Such a question is left to itself, in a thread that ends with the process.
    """
    answers: dict[str, Availability | None] = dict.fromkeys(questions)

    def ask(name: str) -> None:
        try:
            answers[name] = questions[name]()
        except (BottlemuxError, ImportError, OSError) as error:
            answers[name] = Availability(available=False, reason=str(error), hint=getattr(error, "hint", ""))

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in questions]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    return dict(answers)


def judge_backend(name: str, answer: Availability | None) -> Check:
    """Say what a backend answered about itself; ``None`` is no answer in time."""
    if answer is None:
        fix = "see whether its engine is stuck, or choose another backend"
        return Check(f"backend {name}", "warning", "does not answer in time", fix)
    if answer:
        return Check(f"backend {name}", "ok", "bottles run here")
    return Check(f"backend {name}", "warning", answer.reason, answer.hint)
