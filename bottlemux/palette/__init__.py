"""The command palette: a fuzzy list over agents, bottles and actions, in a tmux popup or any terminal."""
