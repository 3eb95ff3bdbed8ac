/* How much of what the kernel shares among all containers one container gets: a line for each, its name and a number. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 20000 };

static int opened[MOST];

static int count(int (*one)(void)) {
  int made = 0;
  while (made < MOST && (opened[made] = one()) >= 0) made++;
  int reason = errno;
  for (int i = 0; i < made; i++) close(opened[i]);
  errno = reason;
  return made;
}

static int pty(void) { return open("/dev/ptmx", O_RDWR | O_NOCTTY); }
static int own_pty(void) { return open("/mnt/pts/ptmx", O_RDWR | O_NOCTTY); }
static int watch(void) { return inotify_init1(0); }

static int queue(void) {
  static int number;
  char name[32];
  snprintf(name, sizeof name, "/q%d", number++);
  int made = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
  if (made >= 0) mq_unlink(name);
  return made;
}

static void aio(int most) {
  static aio_context_t context[200];
  int made = 0;
  while (made < most && syscall(SYS_io_setup, 1000, &context[made]) == 0) made++;
  printf("aio %d\n", made);
  for (int i = 0; i < made; i++) syscall(SYS_io_destroy, context[i]);
}

static void families(void) {
  for (int family = 1; family < 64; family++)
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
      int made = socket(family, type, 0);
      if (made < 0) continue;
      close(made);
      printf("family %d\n", family);
      break;
    }
}

static void processes(void) {
  static pid_t all[MOST];
  int made = 0;
  while (made < MOST) {
    pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    if (child < 0) break;
    all[made++] = child;
  }
  printf("processes %d\n", made);
  fflush(stdout);
  /* Time for whoever counts from outside. */
  sleep(2);
  for (int i = 0; i < made; i++) kill(all[i], SIGKILL);
}

int main(int words, char **word) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (words > 1 && !strcmp(word[1], "processes")) {
    processes();
    return 0;
  }
  if (words > 1 && !strcmp(word[1], "families")) {
    aio(1);
    fflush(stdout);
    families();
    return 0;
  }
  printf("files %ld\n", (long)files.rlim_max);
  printf("pty %d\n", count(pty));
  mkdir("/mnt/pts", 0755);
  if (mount("devpts", "/mnt/pts", "devpts", 0, "newinstance,ptmxmode=0666,max=100000") == 0) {
    printf("own-pty %d\n", count(own_pty));
    umount("/mnt/pts");
  }
  printf("inotify %d\n", count(watch));
  printf("queues %d\n", count(queue));
  aio(200);
  fflush(stdout);
  families();
  return 0;
}
