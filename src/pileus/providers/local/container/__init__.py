"""System containers on this host: unprivileged, by LXC, on an image that all share and a disk of their own."""
