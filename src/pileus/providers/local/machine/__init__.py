"""Machines on this host: disks, TAPs and libvirt domains, made from an instance's spec alone."""
