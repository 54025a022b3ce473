"""git-gate: the only way to push out of a bottle.

Clones and fetches are served from a mirror that follows upstream; a push is checked, scanned and sent on to
upstream with a key that the agent never sees. The agent is told of a success only after upstream confirmed
it.
"""
