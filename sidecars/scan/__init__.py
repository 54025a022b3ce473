"""Finding secrets in what leaves a bottle: the engine that git-gate and pipelock share.

Importing it is cheap; rules are read and compiled at first use or by :func:`sidecars.scan.library.preload`.
No value that was found, searched for or decoded is ever part of a ``repr``, an exception or a log line.
"""
