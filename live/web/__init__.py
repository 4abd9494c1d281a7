"""HTTP: pages, the JSON API and the client's files."""
