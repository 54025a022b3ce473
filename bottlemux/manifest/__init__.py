"""What the user wrote: bottles and agents in Markdown with front matter, and ``config.toml``.

A manifest is parsed to frozen values first and acted upon later; whatever is wrong with it is one line with
file, line, value and what is accepted instead.
"""
