#!/bin/sh
# enter.sh ROOT STATE COMMAND...: run COMMAND with ROOT as its only file system, STATE bound at /srv.
#
# Started in a mount namespace of its own. The old tree is dropped, not only hidden by chroot: a daemon that kept
# copies of its mounts would keep other clouds' network namespaces and loop devices alive after their removal.
set -e
umask 007
root=$1 state=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --bind /dev dev
mount -t tmpfs -o mode=1777,size=64m tmpfs tmp
mount --bind "$state" srv
mount -o remount,bind,ro .
pivot_root . .
umount -l .
export OVS_RUNDIR=/srv/run OVS_DBDIR=/srv/db OVS_LOGDIR=/srv/log OVS_SYSCONFDIR=/srv/db
export OVN_RUNDIR=/srv/run OVN_DBDIR=/srv/db OVN_LOGDIR=/srv/log OVN_SYSCONFDIR=/srv/db
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec "$@"
