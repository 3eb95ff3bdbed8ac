"""Captures: what instances' root disks hold at one moment, made into images while the instances go on."""
