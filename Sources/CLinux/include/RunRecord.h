// What a run of the daemon leaves behind for the next one, in a page of memory that is a file: a store into it outlives
// the process, and costs no system call.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct letter_run_record letter_run_record;

/// A block of records that was being encoded. Ids are at most 511 bytes.
typedef struct {
    uint64_t generation;
    uint64_t digest_high, digest_low;
    uint32_t count;
    uint16_t first_length, last_length;
    uint8_t first[512], last[512];
} letter_block;

/// Maps the record at `path`, made if need be. NULL with errno: it cannot be had. Never unmapped.
letter_run_record *letter_run_open(const char *path);
/// Whether the last run did not end in order, and the signal that ended it while its thread `thread` was at work (0:
/// none was noted). To be asked before `letter_run_begin`.
int letter_run_was_unclean(const letter_run_record *record);
int letter_run_crash_signal(const letter_run_record *record);
const char *letter_run_crash_thread(const letter_run_record *record);
/// Notes that a run has begun, on the disk too; a signal that ends the process by a defect is noted from now on.
/// Returns 0, or -1 with errno.
int letter_run_begin(letter_run_record *record);
/// Notes that the run ended in order, on the disk too. Returns 0, or -1 with errno.
int letter_run_end(letter_run_record *record);

/// The block at hand, and a part of the catalog that was found to hold a record that must not be encoded.
letter_block *letter_run_current(letter_run_record *record);
letter_block *letter_run_suspect(letter_run_record *record);
/// Fills a block; the count comes last, so that a block with a count is whole. A count of 0 is no block.
void letter_block_set(letter_block *block, uint64_t generation, uint32_t count, const uint8_t *first,
                      size_t first_length, const uint8_t *last, size_t last_length, uint64_t digest_high,
                      uint64_t digest_low);
void letter_block_clear(letter_block *block);
/// The bytes of its first and its last id.
const uint8_t *letter_block_first(const letter_block *block);
const uint8_t *letter_block_last(const letter_block *block);
