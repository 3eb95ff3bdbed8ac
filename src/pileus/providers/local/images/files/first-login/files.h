/* Files as short texts. */
#include <stddef.h>
#include <sys/types.h>

/* The text of a file, "" for one that is not there, in `room` with a zero after it; its size. */
size_t read_file(const char *path, char *text, size_t room);
/* Replace a file's text; 0, or -1. */
int write_file(const char *path, mode_t mode, const char *text);
int there(const char *path);
int filled(const char *path);
