"""The only way out of a bottle: a proxy that intercepts TLS, allows what is listed and injects credentials."""
