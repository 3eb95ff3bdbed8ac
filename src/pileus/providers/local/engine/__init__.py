"""The network engine of one machine: Open vSwitch and OVN, run from a root file system of their own."""
