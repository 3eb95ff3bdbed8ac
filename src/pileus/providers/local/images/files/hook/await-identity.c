/*
 * await-identity: stand still in a guest that becomes a template until this copy of it has been given what no two
 * guests may share.
 *
 * The host finds the page below in the stopped guest's memory by its first bytes, and fills it in each copy while that
 * one is stopped. So nothing has to be received: the first look after the copy runs finds all of it.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SEED 64

struct page {
    unsigned char magic[32];
    uint64_t version;
    char boot_id[40];
    volatile uint64_t given;
    int64_t seconds;
    int64_t nanoseconds;
    unsigned char seed[SEED];
};

/* With the highest bit of each byte set only in the page: this program itself, in memory too, must not be found. */
static const volatile char words[33] = "pileus: an identity belongs here";

static void announce(const char *text)
{
    int console = open("/dev/console", O_WRONLY | O_NOCTTY);
    if (console >= 0) {
        (void)!write(console, text, strlen(text));
        close(console);
    }
}

static void read_boot_id(char *target, size_t size)
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    if (file >= 0) {
        if (read(file, target, size) < 36)
            target[0] = 0;
        close(file);
    }
}

static int reseed(const unsigned char *seed)
{
    struct { int bits, bytes; unsigned char data[SEED]; } pool = {8 * SEED, SEED, {0}};
    int device = open("/dev/urandom", O_WRONLY);
    int failed;
    if (device < 0)
        return 1;
    memcpy(pool.data, seed, SEED);
    /* Mixed in, credited, and from now on every number drawn depends on it. */
    failed = ioctl(device, RNDADDENTROPY, &pool) || ioctl(device, RNDRESEEDCRNG);
    explicit_bzero(&pool, sizeof pool);
    close(device);
    return failed;
}

int main(void)
{
    struct timespec pause = {0, 5000000}, now;
    struct page *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int failed;
    if (page == MAP_FAILED)
        return 1;
    page->version = 1;
    read_boot_id(page->boot_id, sizeof page->boot_id);
    for (unsigned i = 0; i < sizeof page->magic; i++)
        page->magic[i] = (unsigned char)words[i] | 0x80;
    mlock(page, 4096);
    sync();
    announce("pileus: a template awaits its identity\n");
    while (!page->given)
        nanosleep(&pause, 0);
    failed = reseed(page->seed);
    now.tv_sec = page->seconds;
    now.tv_nsec = page->nanoseconds;
    failed |= clock_settime(CLOCK_REALTIME, &now);
    explicit_bzero(page, 4096);
    return failed != 0;
}
