"""The meaning of every code of a `Fault`. A code keeps its meaning for ever, and is never used again for another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "CaptureCorrupt": "A capture came with other bytes than its host had said; it is fetched again.",
        "CaptureFailed": "A disk could not be captured; the message says why.",
        "CaptureInterrupted": "The guest, shut down for a capture and started again, ended before that was whole.",
        "CaptureLost": "The host no longer has what it had captured, and the cloud had not fetched it yet.",
        "CaptureMissing": "The host has not captured that.",
        "CaptureUnavailable": "A capture cannot be fetched from its host now.",
        "CgroupsUnavailable": "The guests' control group cannot be made, or a limit in it cannot be set.",
        "ConsoleBusy": "The console of the instance is in use; one client at a time has it.",
        "ContainerFailed": "LXC did not start or end a container; the message says why.",
        "CloudDiskFailed": "The file system of the cloud's object store failed.",
        "CloudDiskFull": "The file system of the cloud's object store is full.",
        "DiskBusy": "A container's disk is still mounted by what ran last.",
        "DiskFailed": "qemu-img, mke2fs or the file system failed at an instance's disk.",
        "DiskLost": "The disk of an instance that has run is no longer there; it is not made anew.",
        "DiskTooSmall": "The root disk is smaller than the image.",
        "DomainBusy": "libvirt holds the guest in a state that forbids the step.",
        "DomainGone": "libvirt no longer knows the guest.",
        "GuestFalls": "The guest went down several times soon after its start; it is started again after a pause.",
        "GuestStopped": "The guest does not run, so that no command, console or stream reaches it.",
        "HostDiskFailed": "The host's file system failed.",
        "HostDiskFull": "The host's file system is full.",
        "HostRefused": "The cloud does not accept the host's certificate: the host was removed, or joined again.",
        "HypervisorFailed": "libvirt or QEMU refused the step; the message says why.",
        "HypervisorMissing": "libvirt's QEMU driver is not installed; bin/setup does it.",
        "HypervisorUnavailable": "This cloud's libvirtd does not answer now.",
        "ImageCorrupt": "The image came with another digest than it was registered with.",
        "ImageMissing": "The object store no longer holds the image.",
        "ImageRefused": "No guest may be started from this image: unknown format, backing file, absurd size.",
        "ImageUnavailable": "The image cannot be fetched now.",
        "InterfaceBusy": "The guest has not let go of a network interface that is to leave it; no packet passes there.",
        "NamespaceFailed": "A metadata listener's network namespace cannot be made or removed.",
        "NetworkEngineFailed": "A daemon of the network engine did not start, or refused the step.",
        "NetworkEngineMissing": "The network engine is not installed; bin/setup does it.",
        "NetworkEngineRefused": "OVN's northbound database refused a transaction.",
        "NetworkEngineUnavailable": "A database of the network engine does not answer now.",
        "NetworkMissing": "The port's network is not there yet.",
        "NetworkUnavailable": "The cloud's network namespace is not there.",
        "NotReachable": "The guest does not answer on that port.",
        "OutsideExhausted": "The outside network has no free address for a router; its guests reach nothing outside.",
        "PrefixesExhausted": "Every 127.N.0.0/16 of this machine belongs to some cloud.",
        "RangesExhausted": "Every range of user ids for containers on this machine belongs to some project.",
        "RestoreFailed": "A guest could not be restored from a template; it boots from its image instead.",
        "RouterMissing": "The network's router is not there yet.",
        "SourceGone": "The instance was gone before it was captured.",
        "SourceMissing": "The host does not have the disk that it is to capture now.",
        "StatePathTooLong": "The state directory's path is too long for the sockets below it.",
        "TapFailed": "A guest's network interface cannot be made.",
        "TemplateRefused": "A booted guest cannot become a template, or no longer be one; guests boot as ever.",
        "TemplateUnfinished": "The host stopped while it made a template.",
        "TooManySessions": "The instance or its host has as many commands, consoles and followed logs as it may.",
        "UplinkUnavailable": "The uplink of `pileus up --internet` did not start; the message says why.",
        "Unsupported": "The provider has no such channel or kind of machine.",
    }
)
"""Code → meaning."""
