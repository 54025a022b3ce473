"""The dashboard: every bottle on one screen, what it waits for, and the keys to do something about it."""
