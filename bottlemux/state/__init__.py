"""What is remembered about bottles on disk, and whether they live. Imports nothing heavy."""
