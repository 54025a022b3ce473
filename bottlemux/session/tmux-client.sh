#!/bin/sh
# The client libtmux starts: UTF-8 whatever the locale, a time limit, unaware of a surrounding tmux.
unset TMUX TMUX_PANE
exec timeout 15 tmux -u "$@"
