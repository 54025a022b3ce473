"""``bottlemux images``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from backends.docker.engine import Engine
    from backends.docker.images import BuildOptions
    from bottlemux.lifecycle.context import Context

COLUMNS = ("name", "tag", "state", "bytes")
_ACTIONS = ("list", "build", "prune")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "action",
        choices=_ACTIONS,
        help="list: name, tag, state, size; build: now; prune: remove other versions",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="which to build (default: all)")
    parser.add_argument("--context", metavar="NAME", default="", help="the Docker context of the engine")
    parser.add_argument("--base-image", metavar="IMAGE", default="", help="build from this image instead")
    parser.add_argument(
        "--ca", metavar="FILE", type=Path, help="authorities (PEM) that only the build trusts"
    )
    parser.add_argument("--rebuild", action="store_true", help="build also what is there already")
    parser.add_argument("--json", action="store_true", help="with list: one JSON document")
    parser.set_defaults(run=run)


def run(_context: Context, options: argparse.Namespace) -> int:
    """List, build or remove the images of Docker bottles."""
    from backends.docker.endpoint import find_endpoint
    from backends.docker.engine import Engine

    engine = Engine(find_endpoint(options.context))
    if options.action == "list":
        _list(engine, as_json=options.json)
    elif options.action == "build":
        _build(engine, options)
    else:
        _prune(engine)
    return 0


def _list(engine: Engine, *, as_json: bool) -> None:
    rows = list(_rows(engine))
    if as_json:
        console.write_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        return
    for name, tag, state, size in rows:
        sys.stdout.write(f"{name}\t{tag}\t{state}\t{int(size) >> 20} MiB\n")


def _rows(engine: Engine) -> Iterator[tuple[str, str, str, int]]:
    from backends.docker import images

    sizes = {tag: item["Size"] for item in engine.images() for tag in item["RepoTags"] or ()}
    current = {images.own_source(name).tag: name for name in images.own_names()}
    for tag in sorted({*current, *sizes}):
        state = "missing" if tag not in sizes else "current" if tag in current else "other version"
        name = current.get(tag) or tag.partition(":")[0].rpartition("/")[2]
        yield name, tag, state, sizes.get(tag, 0)


def _build(engine: Engine, options: argparse.Namespace) -> None:
    from backends.docker import images

    known = images.own_names()
    for name in options.names:
        if name not in known:
            raise UsageError(f"no image {name!r} (known: {', '.join(known)})", hint="bottlemux images list")
    chosen = _options(options)
    for name in options.names or known:
        source = images.own_source(name)
        if options.rebuild or not engine.image_id(source.tag):
            images.build(engine, source, _say, chosen)
        sys.stdout.write(source.tag + "\n")


def _options(options: argparse.Namespace) -> BuildOptions:
    from backends.docker.images import BuildOptions

    default = BuildOptions.from_environ()
    try:
        authorities = options.ca.read_text("ascii") if options.ca else default.authorities
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {str(options.ca)!r}: {error}") from error
    return BuildOptions(options.base_image or default.base_image, authorities)


def _prune(engine: Engine) -> None:
    from backends.docker.leftovers import outdated_images

    for tag in outdated_images(engine):
        engine.remove_image(tag)
        sys.stdout.write(f"removed {tag}\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
