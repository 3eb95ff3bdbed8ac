#!/bin/sh
# run.sh FOLDER NAME PLACE: one container's life, from its start to how it ended, written down in the file `life`.
#
# Descriptor 9 holds the lock that says that the container runs, and is this shell's alone. LXC's exit status is that of
# its first process where this exited; of one that a signal ended it may be 0 too. The signal is in LXC's log: 2 (SIGINT)
# for a shutdown from inside, as the kernel says it (reboot(2)), 9 for one that was killed.
#
# LXC ends with this shell: a container without it would run on, and nobody would see its mounts or hear of its end.
echo started >>"$1/life"
setpriv --pdeathsig KILL lxc-start --foreground --close-all-fds --name="$2" --lxcpath="$3" --rcfile="$1/config" \
    --logfile="$1/lxc.log" --logpriority=DEBUG 9>&-
status=$?
signal=$(sed -n 's/.*:__lxc_start:[0-9]* - [^(]*(\([0-9]*\)) - Container .*/\1/p' "$1/lxc.log" | tail -n 1)
echo "ended $status${signal:+ by signal $signal}" >>"$1/life"
