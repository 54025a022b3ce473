"""Which modules the zygote imports before it forks: named here, below everything, for all who ask for it."""

PRELOADED = ("sidecars.supervisor", "backends.preload", "bottlemux.cli.warm")
"""Each has a function ``preload``: the sidecars' own, and what commands need that run in a fork."""
