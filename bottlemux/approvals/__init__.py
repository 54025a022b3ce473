"""The operator's side of supervise: finding, showing and deciding proposals over all bottles. Knows no tmux."""
