#!/bin/sh
# hook.sh FOLDER: LXC runs it on this machine once the container's first process is there, at each start and each reboot
# from inside. LXC_PID is the number of the process.
#
# Version 1 of cgroups bounds the disk of the processes in a group, and not in the groups below: the bounds, in the file
# `throttle`, are written for the group in which the container's processes are.
#
# LXC adds to its log at each reboot from inside: the log is of one boot, however often that is.
: >"$1/lxc.log"
group=/sys/fs/cgroup/blkio$(sed -n 's/^[0-9]*:blkio://p' "/proc/$LXC_PID/cgroup")
while read -r file value; do
    echo "$value" >"$group/$file"
done <"$1/throttle"
echo "$LXC_PID" >"$1/init"
