#pragma once

#include <stdint.h>

// Loops that need the widest vectors of the processor at hand: what Swift cannot say, because it compiles for one kind.
//
// All of them are fused multiply-adds in an order that does not depend on the vectors, so a result has the same bits on
// every processor.

enum {
    // Rows of a block of weights. Weights lie block by block, in a block term by term, and there row by row.
    LETTER_BLOCK = 12,
    // Columns of a panel. Columns lie panel by panel, in a panel row by row, and there column by column.
    LETTER_PANEL = 32,
};

// Rows rounded up to whole blocks, which is what a panel has room for.
#define LETTER_ROUNDED(rows) (((rows) + LETTER_BLOCK - 1) / LETTER_BLOCK * LETTER_BLOCK)

// Tells the processor that a thread waits for another one by looking again and again.
static inline void letter_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Kinds of vectors, the widest first.
enum { LETTER_AVX512, LETTER_AVX2, LETTER_PLAIN, LETTER_KINDS };

// Whether this processor (and system) has them.
int letter_has_vectors(int kind);

// Products of frozen weights and columns in panels. Every sum is taken alone, in the order of its terms, from its offset on;
// so a result does not depend on the other columns either.

// to = weights · from + offsets for `panels` panels, negative results replaced by 0 if `rectify`.
//
// weights: (outputs, inputs) in blocks, the last filled up with anything; offsets: one a row of the blocks; from: (inputs,
// columns) and to: (outputs, columns) in panels, not overlapping. NaN stays NaN.
void letter_layer(
    int kind, const float *weights, const float *offsets, long outputs, long inputs, const float *from, float *to,
    long panels, int rectify);

// For each column the row of least rows · column + offset, the first of equals, and how much less that is than the second
// least (infinite where there is one row).
//
// rows: (count, width) in blocks; offsets: one a row of the blocks, infinite for what fills the last; columns: (width,
// columns) in panels; nearest and margins: one a column. Where all are NaN: row 0 and a margin of NaN.
void letter_nearest(
    int kind, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins);

// One scaling of the rows of a matrix, and what the columns then sum to, in one pass over it:
// u[row] = 1 / (factor · max(Σ matrix[row][column] · v[column], the least normal number)) and
// sums[column] += Σ u[row] · matrix[row][column], row by row. A row's sum is taken in 32 interleaved ones.
//
// matrix: (rows, columns) row by row; v, sums: (columns); u: (rows).
void letter_scale_rows(
    int kind, const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums);
