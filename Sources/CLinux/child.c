#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

pid_t letter_start_child(const char *path, char *const arguments[], char *const environment[], int *output) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        // Only what is async-signal-safe: the other threads of the parent are not here, and may have held any lock.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        int empty = open("/dev/null", O_RDONLY);
        if (empty < 0 || dup2(empty, 0) < 0 || dup2(ends[1], 1) < 0) _exit(127);
        // LMDB 0.9.24 opens data.mdb without O_CLOEXEC.
        close_range(3, ~0U, 0);
        execve(path, arguments, environment);
        _exit(127);
    }
    int error = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    *output = ends[0];
    return child;
}
