"""The content firewall behind the egress policy: judges what an agent sends before credentials are added."""
