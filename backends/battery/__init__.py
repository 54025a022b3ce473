"""Attacks on the bottle they run in. Standard library only: the package travels into any bottle as it is."""
