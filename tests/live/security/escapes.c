/* What root in a container may try by system calls: a line for each, its name and "ok" or the error's number. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *name, long result) {
  if (result < 0)
    printf("%s %d\n", name, errno);
  else
    printf("%s ok\n", name);
  fflush(stdout);
}

static long by_handle(void) {
  static char room[sizeof(struct file_handle) + 128];
  struct file_handle *handle = (struct file_handle *)room;
  int mount_id, folder = open("/", O_RDONLY);
  handle->handle_bytes = 128;
  if (name_to_handle_at(AT_FDCWD, "/etc/passwd", handle, &mount_id, 0) < 0) handle->handle_bytes = 8, handle->handle_type = 1;
  return open_by_handle_at(folder, handle, O_RDONLY);
}

static void system_calls(const char *where) {
  char name[64];
#define TRY(what, call) (snprintf(name, sizeof name, "%s%s", where, what), errno = 0, tell(name, call))
  union bpf_attr map;
  memset(&map, 0, sizeof map);
  map.map_type = BPF_MAP_TYPE_ARRAY, map.key_size = 4, map.value_size = 4, map.max_entries = 1;
  TRY("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
  struct perf_event_attr event;
  memset(&event, 0, sizeof event);
  event.type = PERF_TYPE_SOFTWARE, event.size = sizeof event, event.config = PERF_COUNT_SW_CPU_CLOCK;
  TRY("perf", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
  TRY("keyctl", syscall(SYS_keyctl, 0, -4, 1));
  TRY("add_key", syscall(SYS_add_key, "user", "pileus-escape", "x", 1, -2));
  TRY("handle", by_handle());
  TRY("init_module", syscall(SYS_init_module, "", 0, ""));
  TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
  TRY("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
  TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
  TRY("io_uring", syscall(SYS_io_uring_setup, 1, calloc(1, 256)));
  struct timespec never = {0, -1};
  TRY("clock", syscall(SYS_clock_settime, CLOCK_REALTIME, &never));
  TRY("syslog", klogctl(10, NULL, 0));
  TRY("swapon", swapon("/nothing", 0));
  TRY("acct", acct("/nothing"));
  TRY("iopl", iopl(3));
  char node[64];
  snprintf(node, sizeof node, "/root/node%d", getpid());
  TRY("mknod-block", mknod(node, S_IFBLK | 0600, makedev(7, 0)));
  unlink(node);
  TRY("mknod-char", mknod(node, S_IFCHR | 0600, makedev(1, 1)));
  unlink(node);
}

static void forks(void) {
  int made = 0, told = open("/root/made", O_WRONLY | O_CREAT | O_SYNC, 0600);
  pid_t *all = calloc(100000, sizeof *all);
  while (made < 100000) {
    pid_t one = fork();
    if (one == 0) {
      pause();
      _exit(0);
    }
    if (one < 0) break;
    all[made++] = one;
    /* Whoever runs out of memory is killed: what is written down stays. */
    if (made % 50 == 0) {
      char text[16];
      pwrite(told, text, snprintf(text, sizeof text, "%06d\n", made), 0);
    }
  }
  sleep(5);
  for (int i = 0; i < made; i++) kill(all[i], 9);
}

int main(int count, char **words) {
  if (count > 1 && !strcmp(words[1], "forks")) {
    forks();
    return 0;
  }
  system_calls("");
  errno = 0;
  tell("userns", unshare(CLONE_NEWUSER | CLONE_NEWNS));
  system_calls("nested-");
  return 0;
}
