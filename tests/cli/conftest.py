from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    user = World(tmp_path_factory.mktemp("cli"))
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]", "A shell.")
    yield user
    user.close()


@pytest.fixture(scope="module")
def slug(world: World) -> str:
    """One bottle that all tests of a module share."""
    return world.start("shell")
