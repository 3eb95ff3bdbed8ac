#!/bin/sh
# libvirtd.sh PRIVATE STATE EVERYONES CACHE DRIVERS ACCELERATOR: libvirtd with its own folders, and no other cloud's mounts.
#
# Started in the cloud's network namespace and in a mount namespace of its own. Guests inherit both and outlive it.
set -e
private=$1 state=$2 everyones=$3 cache=$4 drivers=$5 accelerator=$6
work=$private/mount

# A copy of a mount keeps what is mounted alive after its removal elsewhere: other clouds' network namespaces, loop
# devices. Only what lies above or below our own folders, and the system's, stays.
tac /proc/self/mounts | while read -r _ point _; do
    case $point/ in
        / | // | /proc/* | /sys/* | /dev/* | /usr/* | /etc/* | /lib*/* | "$state"/* | "$everyones"/* | "$cache"/*) continue ;;
    esac
    case $state/ in "$point"/*) continue ;; esac
    case $everyones/ in "$point"/*) continue ;; esac
    case $cache/ in "$point"/*) continue ;; esac
    case /run/libvirt/ in "$point"/*) continue ;; esac
    case /var/lib/libvirt/ in "$point"/*) continue ;; esac
    umount -l "$point" 2>/dev/null || true
done

# Guests' QEMUs are nobody on this machine, and may not pass through a private home: there, they see nothing but the way
# to their disks.
wall='' folder=$state
while folder=$(dirname "$folder") && [ "$folder" != / ]; do
    [ -z "$(find "$folder" -maxdepth 0 ! -perm -001)" ] || wall=$folder
done
if [ -n "$wall" ]; then
    exec 9<"$state"
    mount -t tmpfs -o mode=755,size=1m way "$wall"
    mkdir -p "$state"
    mount -c --bind /proc/self/fd/9 "$state"
    exec 9<&-
fi

# libvirt looks for interfaces in sysfs, and sysfs shows those of the namespace that mounted it.
mount --rbind /sys/fs/cgroup "$work"
umount -R -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$work" /sys/fs/cgroup
umount -R -l "$work"
# Beside version 1 the unified hierarchy has no controllers, and libvirt complains of that at every start.
[ ! -d /sys/fs/cgroup/unified ] || umount -l /sys/fs/cgroup/unified

# A device that is not there cannot be tried: /dev/kvm may exist and not work.
mount -t tmpfs -o mode=755,size=1m dev "$work"
mkdir "$work/net" "$work/pts" "$work/shm"
for node in null zero full random urandom tty net/tun; do cp -a "/dev/$node" "$work/$node"; done
[ "$accelerator" != kvm ] || { cp -a /dev/kvm "$work/kvm" && chmod 666 "$work/kvm"; }
mount --rbind /dev/pts "$work/pts"
mount -t tmpfs -o mode=1777 shm "$work/shm"
ln -s pts/ptmx "$work/ptmx"
ln -s /proc/self/fd "$work/fd"
umount -R -l /dev 2>/dev/null || true
mount --move "$work" /dev

for place in etc:/etc var:/var/lib run:/run log:/var/log; do
    mkdir -p "${place#*:}/libvirt"
    mount --bind "$private/${place%%:*}" "${place#*:}/libvirt"
done
# What libvirt learned about QEMU, which takes seconds, is the same for every cloud of this machine.
mkdir -p /var/cache/libvirt "$everyones/libvirt"
mount --bind "$everyones/libvirt" /var/cache/libvirt
# The user that Debian's packages make and bin/setup need not; nothing runs as it.
mount --bind "$private/passwd" /etc/passwd
mount --bind "$private/group" /etc/group
# Nor do we need the drivers that would bring up bridges, firewalls and storage pools of libvirt's own.
# Not a copy: what libvirt learned is void once its own files are younger.
: >"$private/drivers/libvirt_driver_qemu.so"
mount --bind "$drivers/libvirt_driver_qemu.so" "$private/drivers/libvirt_driver_qemu.so"
mount --rbind "$private/drivers" "$drivers"
exec /usr/sbin/libvirtd -f /etc/libvirt/libvirtd.conf -p "$private/libvirtd.pid"
