"""bottlemux: a tmux-centric workspace manager for coding agents in isolated bottles."""

__version__ = "0.1.0"
