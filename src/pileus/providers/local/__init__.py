"""Our own hosts: machines by libvirt and QEMU, networks by OVN, volumes as files."""
