"""The tmux layer: one session, one window a bottle, panes that run an argv.

Nothing here knows about backends or sidecars. ``server`` is the only module that starts a tmux client.
"""
