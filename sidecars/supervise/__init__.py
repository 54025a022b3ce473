"""supervise: the MCP server by which an agent asks the operator for more than its bottle allows."""
