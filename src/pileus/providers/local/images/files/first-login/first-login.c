/*
 * first-login: what a first login needs, in one process: the first interface's address, and what cloud-init would make
 * of the metadata: name, host keys, and the keys of whoever may log in. Where the processor is emulated, each program
 * that is loaded costs a twentieth of a second and more, and cloud-init ten; dhclient, which keeps the address, and
 * cloud-init follow once sshd listens.
 *
 *   first-login network   gives eth0 its address (one DHCP lease, all of which dhclient asks for again later); where
 *                         that is not what /etc/network/interfaces says, or nobody answers, becomes ifup instead;
 *                         then does what the next one does.
 *   first-login identity  succeeds if all that a login needs is there. Fails, and has written only injected files, where cloud-init
 *                         has to come first: where the user data could say who may log in (all but scripts, which run
 *                         later anyway), where the disk was another instance's, and where nobody answers.
 *   first-login cloud-init  is cloud-init's first stage, at once over where it is not needed before a login.
 */
#include "files.h"
#include "network.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVICE "169.254.169.254"
#define USER "admin"
#define FOLDER "/run/pileus"
#define KNOWN "/var/lib/pileus/instance-id"
#define DONE "/var/lib/cloud/data/instance-id"
#define KEYS "/home/" USER "/.ssh/authorized_keys"
#define HOST_KEY "/etc/ssh/ssh_host_%s_key"
/* A folder of the same disk in place of the root, so that a key appears whole. */
#define NURSERY "/var/lib/pileus/new"
#define EMULATED "/etc/ssh/sshd_config.d/90-emulated.conf"
#define INJECTED "/var/lib/pileus/injected"
/* For the largest archive of injected files, too. */
#define ROOM 131072

static const char *const types[] = {"ed25519", "ecdsa"};
enum { TYPES = 2 };

/* Whether the interfaces are still to be as the image has them: one lease for eth0. */
static int as_made(void)
{
    static char ours[ROOM], theirs[ROOM];
    return read_file("/etc/network/interfaces", theirs, sizeof theirs)
        && read_file("/usr/lib/pileus/interfaces", ours, sizeof ours) && strcmp(ours, theirs) == 0;
}

/* -- metadata ---------------------------------------------------------------------------------------------------- */

static char token[256];
static char reply[ROOM];
static const char *answer;
static size_t answer_size;
static int unanswered;

/* The status of the answer, whose body is in `answer`; 0, now and ever after, once nobody could tell. */
static int ask(const char *method, const char *path, const char *header)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct timeval patience = {.tv_sec = 10};
    size_t size = 0;
    ssize_t got;
    char text[1024];
    int length = snprintf(
        text, sizeof text, "%s /latest/%s HTTP/1.0\r\nHost: " SERVICE "\r\n%s\r\n\r\n", method, path, header);
    int link, status = 0;
    if (unanswered)
        return 0;
    unanswered = 1;
    link = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, SERVICE, &to.sin_addr);
    setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (link < 0 || length >= (int)sizeof text || connect(link, (struct sockaddr *)&to, sizeof to)
        || send(link, text, (size_t)length, 0) != length) {
        close(link);
        return 0;
    }
    while (size + 1 < sizeof reply && (got = recv(link, reply + size, sizeof reply - 1 - size, 0)) > 0)
        size += (size_t)got;
    close(link);
    reply[size] = 0;
    answer = strstr(reply, "\r\n\r\n");
    if (!answer || sscanf(reply, "HTTP/1.%*c %d", &status) != 1 || (status != 200 && status != 404))
        return 0;
    unanswered = 0;
    answer += 4;
    answer_size = size - (size_t)(answer - reply);
    return status;
}

static int get(const char *path)
{
    return ask("GET", path, token) == 200;
}

/* -- host keys --------------------------------------------------------------------------------------------------- */

static pid_t maker;

/* Begun before there is a network, whose answers take their time, and kept if they turn out to be wanted. */
static void begin_keys(void)
{
    int missing = 0;
    for (int each = 0; each < TYPES; each++) {
        char path[64];
        snprintf(path, sizeof path, HOST_KEY, types[each]);
        /* The image has none: what is there without a word whose it is, is of a boot that was cut short. */
        missing |= !filled(path) || !there(KNOWN);
    }
    if (there(DONE) || !missing)
        return;
    mkdir(NURSERY, 0700);
    mkdir(NURSERY "/etc", 0700);
    mkdir(NURSERY "/etc/ssh", 0700);
    for (int each = 0; each < TYPES; each++) {
        char made[128];
        snprintf(made, sizeof made, NURSERY HOST_KEY, types[each]);
        unlink(made);
    }
    /* One process makes all that are not there; these two types nobody needs. */
    if (write_file(NURSERY "/etc/ssh/ssh_host_rsa_key", 0600, "-")
        || write_file(NURSERY "/etc/ssh/ssh_host_dsa_key", 0600, "-"))
        return;
    if ((maker = fork()) == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        execl("/usr/bin/ssh-keygen", "ssh-keygen", "-A", "-f", NURSERY, (char *)0);
        _exit(1);
    }
}

/* Waits for those that are being made, and puts them in their place as those of the host `name`, if there is one. */
static int end_keys(const char *name)
{
    int failed, status;
    if (maker <= 0)
        return name && !there(DONE) && !there(KNOWN) ? -1 : 0;
    failed = waitpid(maker, &status, 0) < 0 || status != 0;
    maker = 0;
    for (int each = 0; each < TYPES; each++) {
        char path[64], made[128], public[70], made_public[132], text[1024];
        size_t size;
        snprintf(path, sizeof path, HOST_KEY, types[each]);
        snprintf(made, sizeof made, NURSERY HOST_KEY, types[each]);
        snprintf(public, sizeof public, "%s.pub", path);
        snprintf(made_public, sizeof made_public, "%s.pub", made);
        if (name && !failed && !(filled(path) && there(KNOWN))) {
            read_file(made_public, text, sizeof text / 2);
            size = strcspn(text, " ");
            size += strspn(text + size, " ");
            size += strcspn(text + size, " \n");
            snprintf(text + size, sizeof text / 2, " root@%s\n", name);
            failed |= write_file(public, 0644, text) || rename(made, path);
        }
        unlink(made);
        unlink(made_public);
    }
    unlink(NURSERY "/etc/ssh/ssh_host_rsa_key");
    unlink(NURSERY "/etc/ssh/ssh_host_dsa_key");
    rmdir(NURSERY "/etc/ssh");
    rmdir(NURSERY "/etc");
    rmdir(NURSERY);
    return failed ? -1 : 0;
}

static void forget_keys(void)
{
    end_keys(0);
}

/* -- identity ---------------------------------------------------------------------------------------------------- */

static void read_line(const char *path, char *text, size_t room)
{
    read_file(path, text, room);
    text[strcspn(text, "\n")] = 0;
}

static void collect_keys(char *keys, size_t room)
{
    static char list[4096];
    char *entry, *rest = list;
    size_t size = 0;
    keys[0] = 0;
    if (!get("meta-data/public-keys/"))
        return;
    snprintf(list, sizeof list, "%s", answer);
    while ((entry = strsep(&rest, " \n"))) {
        char path[128];
        size_t length;
        entry[strcspn(entry, "=")] = 0;
        if (!*entry)
            continue;
        snprintf(path, sizeof path, "meta-data/public-keys/%s/openssh-key", entry);
        if (!get(path))
            continue;
        length = strlen(answer);
        while (length && answer[length - 1] == '\n')
            length--;
        if (size + length + 2 > room) {
            unanswered = 1;
            return;
        }
        memcpy(keys + size, answer, length);
        size += length;
        keys[size++] = '\n';
        keys[size] = 0;
    }
}

/* Emulated, the exchange that OpenSSH prefers, which a quantum computer to come could not undo, takes half a second. */
static void choose_exchange(void)
{
    static char processor[4096];
    read_file("/proc/cpuinfo", processor, sizeof processor);
    if (strstr(processor, "QEMU TCG"))
        write_file(EMULATED, 0644,
            "# Made at boot, and removed on real processors: emulated, this exchange takes half a second.\n"
            "KexAlgorithms -sntrup761*\n");
    else
        unlink(EMULATED);
}

/* Whether the host keys on this disk were made for the instance `id`. */
static int known(const char *id)
{
    static char seen[256];
    read_line(KNOWN, seen, sizeof seen);
    return there(KNOWN) && strcmp(seen, id) == 0;
}

/* cloud-init, whose turn may come at a later boot of the same instance, does not make other host keys. */
static int keep_keys(const char *id)
{
    return known(id) ? write_file("/run/cloud-init/cloud.cfg", 0644, "ssh_deletekeys: false\n") : 0;
}

/* To the letter what cloud-init looks for before it adds its own. */
static const char rule[] = "# First login\n\n# User rules for " USER "\n" USER " ALL=(ALL) NOPASSWD:ALL\n";

static int become(const char *id, const char *name, const char *keys)
{
    char hosts[600], line[300];
    snprintf(hosts, sizeof hosts, "127.0.0.1 localhost\n127.0.1.1 %s\n", name);
    snprintf(line, sizeof line, "%s\n", name);
    if (write_file("/etc/hostname", 0644, line) || sethostname(name, strlen(name)))
        return -1;
    if (write_file("/etc/hosts", 0644, hosts))
        return -1;
    if (end_keys(name) || write_file(KEYS, 0600, keys) || write_file("/etc/sudoers.d/90-cloud-init-users", 0440, rule))
        return -1;
    snprintf(line, sizeof line, "%s\n", id);
    return write_file(KNOWN, 0644, line) || keep_keys(id);
}

/* Runs a program with this input; 0 if it succeeded. */
static int feed(const char *path, char *const words[], const char *input, size_t size)
{
    int ends[2], status, failed = 0;
    pid_t child;
    if (pipe(ends) || (child = fork()) < 0)
        return -1;
    if (child == 0) {
        dup2(ends[0], 0);
        close(ends[0]);
        close(ends[1]);
        execv(path, words);
        _exit(1);
    }
    close(ends[0]);
    while (size && !failed) {
        ssize_t written = write(ends[1], input, size);
        failed = written <= 0;
        input += failed ? 0 : written;
        size -= failed ? 0 : (size_t)written;
    }
    close(ends[1]);
    return waitpid(child, &status, 0) < 0 || status != 0 || failed ? -1 : 0;
}

/* The files that the launch gave, and root's password: once for each instance. */
static void inject(const char *id)
{
    static char seen[256], line[600];
    read_line(INJECTED, seen, sizeof seen);
    if (there(INJECTED) && strcmp(seen, id) == 0)
        return;
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    if (get("pileus/files"))
        feed("/usr/bin/tar", (char *[]){"tar", "-x", "-C", "/", "-f", "-", 0}, answer, answer_size);
    if (get("pileus/password")) {
        snprintf(line, sizeof line, "root:%s\n", answer);
        feed("/usr/sbin/chpasswd", (char *[]){"chpasswd", "-e", 0}, line, strlen(line));
    }
    if (!unanswered) {
        snprintf(line, sizeof line, "%s\n", id);
        write_file(INJECTED, 0644, line);
    }
}

static int identify(void)
{
    static char id[256], seen[256], name[256], keys[ROOM];
    if (ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds: 300") != 200)
        return -1;
    snprintf(token, sizeof token, "X-aws-ec2-metadata-token: %s", answer);
    if (!get("meta-data/instance-id") || !*answer)
        return -1;
    snprintf(id, sizeof id, "%s", answer);
    inject(id);
    if (get("user-data") && *answer && strncmp(answer, "#!", 2) != 0)
        return -1;
    read_line(DONE, seen, sizeof seen);
    if (unanswered)
        return -1;
    if (there(DONE))
        /* All of it stands on the disk since the first boot, which cloud-init may not have come to the end of. */
        return strcmp(seen, id) == 0 ? keep_keys(id) : -1;
    if (there(KNOWN) && !known(id))
        return -1;
    if (!get("meta-data/local-hostname"))
        return -1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(answer, "."), answer);
    collect_keys(keys, sizeof keys);
    return unanswered ? -1 : become(id, name, keys);
}

static int identified(void)
{
    static const char note[] = FOLDER "/late";
    atexit(forget_keys);
    choose_exchange();
    if (identify())
        return -1;
    mkdir(FOLDER, 0755);
    return write_file(note, 0644, "");
}

int main(int count, char **words)
{
    static const char note[] = FOLDER "/leased";
    if (count == 2 && strcmp(words[1], "cloud-init") == 0) {
        /* As cloud-init's own stage before the network, forget the data source of the last boot. */
        unlink("/var/lib/cloud/instance");
        if (there(FOLDER "/late"))
            return 0;
        execl("/usr/lib/pileus/cloud-init", "cloud-init", "init", (char *)0);
        return 1;
    }
    if (count != 2 || strcmp(words[1], "network") != 0) {
        begin_keys();
        return identified() ? 1 : 0;
    }
    /* Once in a boot: whoever raises the interfaces again wants what they say by now. */
    if (!there(note) && as_made()) {
        mkdir(FOLDER, 0755);
        begin_keys();
        if (join_network() == 0 && write_file(note, 0644, "") == 0) {
            (void)identified();
            return 0;
        }
        forget_keys();
    }
    execl("/sbin/ifup", "ifup", "-a", "--read-environment", (char *)0);
    return 1;
}
