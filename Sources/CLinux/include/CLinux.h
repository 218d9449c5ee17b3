// The few things of Linux that Swift's Glibc module does not show.
#pragma once
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

/// The credentials of the process at the other end of a Unix socket (SO_PEERCRED). Returns 0, or -1 with errno.
int letter_peer_credentials(int socket, pid_t *pid, uid_t *uid, gid_t *gid);

/// renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE). Returns 0, or -1 with errno (EEXIST: `to` is there).
int letter_rename_new(const char *from, const char *to);

/// Gives a thread a name of at most 15 bytes, as `ps -L` shows it.
void letter_name_thread(pthread_t thread, const char *name);
