"""What happens to bottles: started, entered, shown, stopped, brought back, cleaned up.

The one layer that joins backends and tmux: a backend gives an argv, a pane runs it.
"""
