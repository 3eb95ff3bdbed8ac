#include "files.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

size_t read_file(const char *path, char *text, size_t room)
{
    size_t size = 0;
    ssize_t got;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    text[0] = 0;
    if (file < 0)
        return 0;
    while (size + 1 < room && (got = read(file, text + size, room - 1 - size)) > 0)
        size += (size_t)got;
    close(file);
    text[size] = 0;
    return size;
}

int write_file(const char *path, mode_t mode, const char *text)
{
    size_t size = strlen(text);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    int failed;
    if (file < 0)
        return -1;
    failed = write(file, text, size) != (ssize_t)size;
    return close(file) || failed ? -1 : 0;
}

int there(const char *path)
{
    return access(path, F_OK) == 0;
}

int filled(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && found.st_size > 0;
}
