"""The content firewall behind the egress policy: looks at what an agent sends before credentials are added."""
