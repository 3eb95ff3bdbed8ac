#!/bin/sh
# lxcfs.sh ROOT HOME: lxcfs from the file system ROOT, mounted at HOME/mount, in a mount namespace of its own.
#
# It runs on this machine's own tree, whose processes and cgroups it reads, with the libraries that it was built with.
set -e
root=$1 home=$2

# A copy of a mount keeps what is mounted alive after its removal elsewhere: other clouds' network namespaces, loop
# devices. Only the system's stay, and what ROOT and HOME lie on.
tac /proc/self/mounts | while read -r _ point _; do
    case $point/ in / | // | /proc/* | /sys/* | /dev/* | /usr/* | /lib*/*) continue ;; esac
    case $root/ in "$point"/*) continue ;; esac
    case $home/ in "$point"/*) continue ;; esac
    umount -l "$point" 2>/dev/null || true
done

# By this file of the first process lxcfs finds out whether it may look at others. Where that process is out of reach
# (in a container, say, that shares its pids) it would refuse to answer, though it can see all that it is asked about.
if ! cat /proc/1/personality >/dev/null 2>&1; then
    echo 00000000 >"$home/personality"
    mount --bind "$home/personality" /proc/1/personality
fi

for linker in "$root"/lib64/ld-linux-*.so.* "$root"/lib/ld-linux-*.so.*; do
    [ ! -x "$linker" ] || break
done
for libraries in "$root"/usr/lib/*/lxcfs; do :; done
exec "$linker" --library-path "$(dirname "$libraries"):$libraries" "$root/usr/bin/lxcfs" \
    --foreground --enable-loadavg --enable-cfs --pidfile="$home/pid" --runtime-dir="$home/run" "$home/mount"
