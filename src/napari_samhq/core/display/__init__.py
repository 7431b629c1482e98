"""Pictures, tables and HTML of results."""
