#!/bin/sh
# run.sh FOLDER NAME PLACE: one container's life, from its start to how it ended, written down in the file `life`.
#
# Descriptor 9 holds the lock that says that the container runs, and is this shell's alone. LXC's exit status is its
# first process's: 0 after an exit, 130 (128 + SIGINT) after a shutdown from inside, as the kernel says it.
echo started >>"$1/life"
lxc-start --foreground --close-all-fds --name="$2" --lxcpath="$3" --rcfile="$1/config" \
    --logfile="$1/lxc.log" --logpriority=WARN 9>&-
echo "ended $?" >>"$1/life"
