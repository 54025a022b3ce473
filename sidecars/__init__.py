"""The processes around a bottle: the only ways out of it.

Nothing here imports ``bottlemux`` or ``backends``: the same code runs as host processes and inside an image.
"""
