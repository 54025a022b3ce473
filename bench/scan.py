"""What the secret scanners find, what they flag by mistake, and how fast they are.

Usage: python -m bench.scan [DIRECTORY...]   (default: the interpreter's packages and /usr/share/doc)
Only rule names, paths and counts are printed, never what was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from sidecars.scan.budget import Limits, UnreadableError
from sidecars.scan.engine import Engine
from sidecars.scan.exact import SecretNeedles
from sidecars.scan.gitleaks import embedded_rules, find_binary
from sidecars.scan.inspect import Inspector
from sidecars.scan.library import own_rules
from tests.scan.corpus import Maker, decoys, planted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MB = 1e6
LARGEST_FILE = 4 << 20
SOURCE_BYTES = 10_000_000
SEEDS = range(20)


def _inspector(engine: Engine) -> Inspector:
    return Inspector(engine, SecretNeedles([Maker(1).base64(40)]), Limits())


def _engines() -> dict[str, Engine]:
    binary = find_binary()
    engines = {
        "requests (provider rules)": Engine(own_rules().tagged("provider"), validate=True),
        "pushes (own rules)": Engine(own_rules()),
    }
    if binary is not None:
        engines["gitleaks' rules here"] = Engine(embedded_rules(binary))
        engines["pushes (own + gitleaks)"] = Engine(own_rules() + embedded_rules(binary))
    return engines


def _row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def _head(*cells: str) -> None:
    print()
    _row(*cells)
    _row(*("---" for _ in cells))


def corpus(engines: dict[str, Engine]) -> None:
    _head("rules", "planted found", "decoys flagged")
    for name, engine in engines.items():
        wanted = [case for seed in SEEDS for case in planted(seed) if case.provider or "provider" not in name]
        harmless = [case for seed in SEEDS for case in decoys(seed)]
        found = sum(engine.first(case.text.encode()) is not None for case in wanted)
        wrong = Counter(case.name for case in harmless if engine.first(case.text.encode()))
        _row(name, f"{found} of {len(wanted)}", f"{wrong.total()} of {len(harmless)} {dict(wrong) or ''}")


def _files(roots: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_FILE:
                yield str(path), path.read_bytes()


def _history(repository: Path) -> Iterator[tuple[str, bytes]]:
    log = subprocess.run(
        ["git", "-C", str(repository), "log", "-p", "--no-color", "--no-ext-diff", "-m"],
        capture_output=True,
        check=True,
    )
    for number, commit in enumerate(log.stdout.split(b"\ncommit ")):
        yield f"commit {number}", commit


def false_positives(
    engines: dict[str, Engine], sets: dict[str, Callable[[], Iterable[tuple[str, bytes]]]]
) -> None:
    _head("rules", "text", "files", "MB", "flagged", "unreadable", "MB/s", "by rule")
    examples: list[str] = []
    for name, engine in engines.items():
        inspector = _inspector(engine)
        inspector.first(b"warm up")
        for label, files in sets.items():
            rules: Counter[str] = Counter()
            unreadable: Counter[str] = Counter()
            count = size = flagged = 0
            spent = 0.0
            for path, data in files():
                count, size = count + 1, size + len(data)
                start = time.perf_counter()
                try:
                    hits = inspector.rules(data, path=path)
                except UnreadableError as error:
                    hits = []
                    unreadable[error.reason] += 1
                    examples.append(f"{name}: {label}: unreadable {error.reason}: {path}")
                spent += time.perf_counter() - start
                flagged += bool(hits)
                rules.update(hits)
                examples += [f"{name}: {label}: {rule}: {path}" for rule in hits]
            speed = f"{size / MB / spent:.0f}" if spent else "-"
            _row(
                name,
                label,
                count,
                f"{size / MB:.1f}",
                flagged,
                dict(unreadable) or 0,
                speed,
                dict(rules) or "",
            )
    print("\n" + "\n".join(examples[:400]), file=sys.stderr)


def _source(root: Path) -> list[bytes]:
    chosen: list[bytes] = []
    for path in sorted(root.rglob("*.py")):
        chosen.append(path.read_bytes())
        if sum(map(len, chosen)) > SOURCE_BYTES:
            break
    return chosen


def speed(engines: dict[str, Engine], root: Path) -> None:
    source = _source(root)
    size = sum(map(len, source)) / MB
    request = json.dumps({"messages": [{"role": "user", "content": "x" * 180}]}).encode()
    _head("rules", "number", "compile ms", "engine MB/s", "with decoding MB/s", "256 B request µs")
    for name, engine in engines.items():
        fresh = Engine(engine.rules)
        compiled = _timed(fresh.preload)
        inspector = _inspector(engine)
        scan = _timed(lambda engine=engine: [engine.scan(data) for data in source])
        deep = _timed(lambda inspector=inspector: [inspector.rules(data) for data in source])
        small = _timed(lambda inspector=inspector: [inspector.first(request) for _ in range(1000)])
        _row(
            name,
            len(engine.rules),
            f"{compiled * 1e3:.0f}",
            f"{size / scan:.0f}",
            f"{size / deep:.0f}",
            f"{small * 1e3:.0f}",
        )
    _binary(source, size)


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _binary(source: list[bytes], size: float) -> None:
    binary = find_binary()
    if binary is None:
        print("\ngitleaks is not installed: no comparison")
        return
    with tempfile.TemporaryDirectory() as directory:
        for number, data in enumerate(source):
            (Path(directory) / f"{number}.py").write_bytes(data)
        argv = [str(binary), "dir", directory, "--no-banner", "--exit-code=0"]
        spent = _timed(lambda: subprocess.run(argv, capture_output=True, check=True))
    print(f"\nthe gitleaks binary over the same {size:.1f} MB: {size / spent:.0f} MB/s, {spent:.2f} s")


def main() -> None:
    packages = Path(sysconfig.get_paths()["purelib"])
    roots = [Path(each) for each in sys.argv[1:]] or [packages, Path("/usr/share/doc")]
    engines = _engines()
    corpus(engines)
    speed(engines, packages)
    sets: dict[str, Callable[[], Iterable[tuple[str, bytes]]]] = {
        str(root): (lambda root=root: _files([root])) for root in roots
    }
    sets["history of this repository"] = lambda: _history(Path.cwd())
    false_positives(engines, sets)


if __name__ == "__main__":
    main()
