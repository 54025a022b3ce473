"""Typing into a terminal as if a person had, and reconfiguring it under whoever looks at it."""

from __future__ import annotations

import fcntl
import pty
import struct
import termios

from .case import Table, Targets, fails, refused

TABLE = Table("terminal")
_TIOCLINUX, _TIOCSETD, _TIOCCONS = 0x541C, 0x5423, 0x541D
_N_GSM = 21


def _controlling_terminal() -> int:
    _master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return slave


@TABLE.case("TIOCSTI", "put characters into the terminal's input")
def _tiocsti(_: Targets) -> str:
    slave = _controlling_terminal()
    return refused("TIOCSTI", fcntl.ioctl, slave, termios.TIOCSTI, b"x")


@TABLE.case("TIOCLINUX", "paste the console's selection")
def _tioclinux(_: Targets) -> str:
    slave = _controlling_terminal()
    return refused("TIOCLINUX", fcntl.ioctl, slave, _TIOCLINUX, b"\x03")


@TABLE.case("TIOCSETD", "load another line discipline")
def _tiocsetd(_: Targets) -> str:
    slave = _controlling_terminal()
    return refused("TIOCSETD", fcntl.ioctl, slave, _TIOCSETD, struct.pack("i", _N_GSM))


@TABLE.case("TIOCCONS", "take over the console's output")
def _tioccons(_: Targets) -> str:
    slave = _controlling_terminal()
    return fails("TIOCCONS", fcntl.ioctl, slave, _TIOCCONS, 0)
