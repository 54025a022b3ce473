"""The command line: one module a command, found by name so that a call imports only its own."""
