// Preloaded into letterd: writes down, in the order in which they took effect, everything that letterd does to files
// below a folder, and which of it was synced, so that power.py can make the folder as a power loss would leave it.
//
//   POWER_FOLDER   the folder     POWER_JOURNAL   the file written, append only
//
// A record is: kind (1 byte), inode (8), offset (8), length (4), then `length` bytes; little-endian. For names the bytes
// are the path, or two paths with a NUL between. Files that no file of the state needs after a power loss, SQLite's
// shared memory, are left out. A lock is held across each call and its record, so that the order is the true one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CREATE = 'c', WRITE = 'w', TRUNCATE = 't', SYNC = 's', RENAME = 'r', UNLINK = 'u', MKDIR = 'm', RMDIR = 'd' };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder;
static size_t folder_length;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}
#define REAL(type, name) \
    static __typeof__(type) *next; \
    if (!next) next = (__typeof__(type) *)real(name)

static void open_journal(void) {
    if (journal >= 0 || !getenv("POWER_JOURNAL")) return;
    folder = getenv("POWER_FOLDER");
    folder_length = strlen(folder);
    REAL(int(const char *, int, ...), "open64");
    int descriptor = next(getenv("POWER_JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    // Out of the way of programs that count on low numbers.
    journal = fcntl(descriptor, F_DUPFD_CLOEXEC, 900);
    if (journal < 0) abort();
}

static int is_ours(const char *path) {
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, "-shm") == 0) return 0;
    return strncmp(path, folder, folder_length) == 0 && path[folder_length] == '/';
}

// The path of a descriptor; 0 if it is not below the folder.
static int path_of(int descriptor, char path[PATH_MAX]) {
    if (journal < 0 || descriptor == journal) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path) || strcmp(path, folder) == 0;
}

static void record(char kind, uint64_t inode, uint64_t offset, const void *bytes, size_t length) {
    REAL(ssize_t(int, const void *, size_t), "write");
    char head[21] = {kind};
    uint32_t count = (uint32_t)length;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &count, 4);
    char *whole = malloc(sizeof head + length);
    memcpy(whole, head, sizeof head);
    if (length) memcpy(whole + sizeof head, bytes, length);
    if (next(journal, whole, sizeof head + length) != (ssize_t)(sizeof head + length)) abort();
    free(whole);
}

static uint64_t inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 ? status.st_ino : 0;
}

static int opened(int (*next)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    open_journal();
    if (journal < 0 || !(flags & (O_CREAT | O_TRUNC)) || !is_ours(path)) return next(path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat status;
    int is_new = lstat(path, &status) != 0;
    int descriptor = next(path, flags, mode);
    int number = errno;
    if (descriptor >= 0 && is_new) record(CREATE, inode_of(descriptor), 0, path, strlen(path));
    if (descriptor >= 0 && !is_new && flags & O_TRUNC) record(TRUNCATE, inode_of(descriptor), 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = number;
    return descriptor;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        REAL(int(const char *, int, ...), #name); \
        return opened(next, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

static ssize_t wrote(int descriptor, const void *bytes, size_t count, off64_t offset, ssize_t (*call)(int, const void *, size_t, off64_t)) {
    char path[PATH_MAX];
    if (!path_of(descriptor, path)) return call(descriptor, bytes, count, offset);
    pthread_mutex_lock(&lock);
    off64_t at = offset >= 0 ? offset : lseek64(descriptor, 0, SEEK_CUR);
    ssize_t result = call(descriptor, bytes, count, offset);
    int number = errno;
    if (result > 0) record(WRITE, inode_of(descriptor), (uint64_t)at, bytes, (size_t)result);
    pthread_mutex_unlock(&lock);
    errno = number;
    return result;
}

static ssize_t plain_write(int descriptor, const void *bytes, size_t count, off64_t offset) {
    (void)offset;
    REAL(ssize_t(int, const void *, size_t), "write");
    return next(descriptor, bytes, count);
}

static ssize_t plain_pwrite(int descriptor, const void *bytes, size_t count, off64_t offset) {
    REAL(ssize_t(int, const void *, size_t, off64_t), "pwrite64");
    return next(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    return wrote(descriptor, bytes, count, -1, plain_write);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return wrote(descriptor, bytes, count, offset, plain_pwrite);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    return wrote(descriptor, bytes, count, offset, plain_pwrite);
}

static int resized(int (*next)(int, off64_t), int descriptor, off64_t size) {
    char path[PATH_MAX];
    if (!path_of(descriptor, path)) return next(descriptor, size);
    pthread_mutex_lock(&lock);
    int result = next(descriptor, size);
    int number = errno;
    if (result == 0) record(TRUNCATE, inode_of(descriptor), (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = number;
    return result;
}
int ftruncate(int descriptor, off_t size) {
    REAL(int(int, off64_t), "ftruncate64");
    return resized(next, descriptor, size);
}
int ftruncate64(int descriptor, off64_t size) {
    REAL(int(int, off64_t), "ftruncate64");
    return resized(next, descriptor, size);
}

static int synced(int (*next)(int), int descriptor) {
    char path[PATH_MAX];
    if (!path_of(descriptor, path)) return next(descriptor);
    pthread_mutex_lock(&lock);
    int result = next(descriptor);
    int number = errno;
    if (result == 0) record(SYNC, inode_of(descriptor), 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    errno = number;
    return result;
}
int fsync(int descriptor) {
    REAL(int(int), "fsync");
    return synced(next, descriptor);
}
int fdatasync(int descriptor) {
    REAL(int(int), "fdatasync");
    return synced(next, descriptor);
}

static void record_rename(const char *from, const char *to) {
    char both[2 * PATH_MAX];
    size_t first = strlen(from), second = strlen(to);
    memcpy(both, from, first + 1);
    memcpy(both + first + 1, to, second);
    record(RENAME, 0, 0, both, first + 1 + second);
}

// Calls that change names; `call` is an expression of `next`.
#define NAMES(condition, call, what) \
    open_journal(); \
    if (journal < 0 || !(condition)) return call; \
    pthread_mutex_lock(&lock); \
    int result = call; \
    int number = errno; \
    if (result == 0) what; \
    pthread_mutex_unlock(&lock); \
    errno = number; \
    return result;

int rename(const char *from, const char *to) {
    REAL(int(const char *, const char *), "rename");
    NAMES(is_ours(from) || is_ours(to), next(from, to), record_rename(from, to))
}
int renameat2(int a, const char *from, int b, const char *to, unsigned int flags) {
    REAL(int(int, const char *, int, const char *, unsigned int), "renameat2");
    NAMES(is_ours(from) || is_ours(to), next(a, from, b, to, flags), record_rename(from, to))
}
int unlink(const char *path) {
    REAL(int(const char *), "unlink");
    NAMES(is_ours(path), next(path), record(UNLINK, 0, 0, path, strlen(path)))
}
int mkdir(const char *path, mode_t mode) {
    REAL(int(const char *, mode_t), "mkdir");
    NAMES(is_ours(path), next(path, mode), record(MKDIR, 0, 0, path, strlen(path)))
}
int rmdir(const char *path) {
    REAL(int(const char *), "rmdir");
    NAMES(is_ours(path), next(path), record(RMDIR, 0, 0, path, strlen(path)))
}
