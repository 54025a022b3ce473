"""A Dockerfile whose steps trust a network's own authorities, while its image does not. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from backends.environment import CA_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUNDLE = "/tmp/extra.pem"  # noqa: S108 - in the build's containers
_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_FROM = re.compile(r"^FROM .*$", re.MULTILINE)
# The file is gone before a step becomes a layer, and what a step exports is no variable of the image.
_STEP = "; ".join(
    (
        f"trap 'rm -f {_BUNDLE}' EXIT",
        f"{{ cat {_SYSTEM_BUNDLE}; printf '%s\\n' \"$EXTRA_CA\"; }} >{_BUNDLE} 2>/dev/null",
        "export " + " ".join(f"{name}={_BUNDLE}" for name in CA_VARIABLES),
        '"$@"',
    )
)


def trusting(dockerfile: str, shell: Sequence[str]) -> str:
    """Return ``dockerfile``, of one stage, so that each of its steps also trusts the build argument ``EXTRA_CA``.

    ``shell`` is what runs steps in the image that it is built from, empty for the default; its own image has the same.
    """
    shell = shell or ("/bin/sh", "-c")
    step = json.dumps(["/bin/sh", "-c", _STEP, "sh", *shell])
    begun = _FROM.sub(lambda line: f"{line[0]}\nARG EXTRA_CA\nSHELL {step}", dockerfile, count=1)
    return f"{begun}\nSHELL {json.dumps(list(shell))}\n"
