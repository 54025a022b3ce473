"""``bottlemux completion``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context

_WHERE = {
    "bash": '  bash:  eval "$(bottlemux completion bash)"          in ~/.bashrc',
    "zsh": '  zsh:   eval "$(bottlemux completion zsh)"           in ~/.zshrc, after compinit',
    "fish": "  fish:  bottlemux completion fish | source           in ~/.config/fish/config.fish",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    import argparse

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["to have it in every shell:", *_WHERE.values()])
    parser.add_argument("shell", choices=tuple(_WHERE), help="the shell to write the script for")
    parser.set_defaults(run=run)


def run(_context: Context, options: argparse.Namespace) -> int:
    """Print the script that makes the shell ask this bottlemux."""
    from argcomplete.shell_integration import shellcode

    # Always this installation's own program: a shell would otherwise run whatever "./bottlemux" is typed at.
    program = str(Path(sys.executable).with_name("bottlemux"))
    if options.shell == "fish":
        program = shlex.quote(program)
    sys.stdout.write(shellcode(["bottlemux"], shell=options.shell, argcomplete_script=program) + "\n")
    return 0
