"""Instances: importing this package registers their actions."""

from pileus.faces.ec2.instance import attribute, console, describe, launch, option, power, profile, status, topology

__all__ = ["attribute", "console", "describe", "launch", "option", "power", "profile", "status", "topology"]
