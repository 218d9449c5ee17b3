#define _GNU_SOURCE
#include "RunRecord.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 4096
#define MAGIC 0x31524c45u

struct letter_run_record {
    uint32_t magic;
    uint32_t running;
    int32_t signal;
    char thread[16];
    letter_block current, suspect;
};

_Static_assert(sizeof(struct letter_run_record) <= SIZE, "a record is one page");

static letter_run_record *watched;

letter_run_record *letter_run_open(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file < 0) return NULL;
    // The blocks are allocated now: a store into a hole of a full disk would end the process.
    int error = posix_fallocate(file, 0, SIZE);
    void *page = error == 0 ? mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (error == 0 && page == MAP_FAILED) error = errno;
    close(file);
    if (page == MAP_FAILED) {
        errno = error;
        return NULL;
    }
    letter_run_record *record = page;
    if (record->magic != MAGIC) {
        memset(record, 0, SIZE);
        record->magic = MAGIC;
    }
    record->thread[sizeof record->thread - 1] = 0;
    return record;
}

int letter_run_was_unclean(const letter_run_record *record) { return record->running != 0; }
int letter_run_crash_signal(const letter_run_record *record) { return record->signal; }
const char *letter_run_crash_thread(const letter_run_record *record) { return record->thread; }

/// Notes the signal and the thread, then lets the signal do what it does. Async-signal-safe.
static void note_crash(int number) {
    prctl(PR_GET_NAME, watched->thread);
    watched->signal = number;
    signal(number, SIG_DFL);
    raise(number);
}

int letter_run_begin(letter_run_record *record) {
    record->signal = 0;
    letter_block_clear(&record->current);
    record->running = 1;
    watched = record;
    struct sigaction action = {.sa_handler = note_crash, .sa_flags = SA_NODEFER | SA_ONSTACK};
    int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) sigaction(numbers[index], &action, NULL);
    return msync(record, SIZE, MS_SYNC);
}

int letter_run_end(letter_run_record *record) {
    record->running = 0;
    return msync(record, SIZE, MS_SYNC);
}

letter_block *letter_run_current(letter_run_record *record) { return &record->current; }
letter_block *letter_run_suspect(letter_run_record *record) { return &record->suspect; }

void letter_block_set(letter_block *block, uint64_t generation, uint32_t count, const uint8_t *first,
                      size_t first_length, const uint8_t *last, size_t last_length, uint64_t digest_high,
                      uint64_t digest_low) {
    letter_block_clear(block);
    if (first_length > sizeof block->first || last_length > sizeof block->last) return;
    block->generation = generation;
    block->digest_high = digest_high;
    block->digest_low = digest_low;
    memcpy(block->first, first, first_length);
    memcpy(block->last, last, last_length);
    block->first_length = (uint16_t)first_length;
    block->last_length = (uint16_t)last_length;
    __atomic_store_n(&block->count, count, __ATOMIC_RELEASE);
}

void letter_block_clear(letter_block *block) { __atomic_store_n(&block->count, 0, __ATOMIC_RELEASE); }
const uint8_t *letter_block_first(const letter_block *block) { return block->first; }
const uint8_t *letter_block_last(const letter_block *block) { return block->last; }
