// The few things of Linux that Swift's Glibc module does not show.
#pragma once
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "RunRecord.h"

/// The credentials of the process at the other end of a Unix socket (SO_PEERCRED). Returns 0, or -1 with errno.
int letter_peer_credentials(int socket, pid_t *pid, uid_t *uid, gid_t *gid);

/// renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE). Returns 0, or -1 with errno (EEXIST: `to` is there).
int letter_rename_new(const char *from, const char *to);

/// Gives a thread a name of at most 15 bytes, as `ps -L` shows it.
void letter_name_thread(pthread_t thread, const char *name);

/// Starts a program with these arguments and environment (both end with NULL), its standard output a pipe, standard
/// input empty, standard error shared, no other file open, no core dump. It is killed when the thread that called this
/// ends. `*output` is the pipe's end to read from. Returns the process id, or -1 with errno.
pid_t letter_start_child(const char *path, char *const arguments[], char *const environment[], int *output);
