#pragma once

#include <stdint.h>

// Loops that need the widest SIMD registers of the CPU they run on. Swift cannot express them, because a Swift module is
// compiled for one instruction set; here each loop is compiled for every SIMD width, and the width is chosen at run time.
//
// Every sum is a chain of fused multiply-adds in an order that does not depend on the width, so a result has the same bits
// on every CPU.

enum {
    // Rows of a block of weights. Weights are stored block by block, in a block term by term, and for each term row by row.
    LETTER_BLOCK = 12,
    // Columns of a panel. Columns are stored panel by panel, in a panel row by row, and in each row column by column.
    LETTER_PANEL = 32,
};

// Rows rounded up to whole blocks: the rows that a panel has space for.
#define LETTER_ROUNDED(rows) (((rows) + LETTER_BLOCK - 1) / LETTER_BLOCK * LETTER_BLOCK)

// Signals the CPU that this thread is in a spin-wait loop.
static inline void letter_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Instruction sets that another library's kernels may need; bits of the result of letter_cpu_features.
enum {
    // AVX2 and FMA.
    LETTER_CPU_AVX2 = 1,
    // AVX2, FMA and the AVX-512 extensions that Skylake-X brought: F, CD, DQ, BW and VL.
    LETTER_CPU_AVX512 = 2,
};

// What this CPU supports, from CPUID. A bit is set only if the operating system also saves the registers (XCR0), so that
// the instructions can be executed. 0 on CPUs other than x86-64.
int letter_cpu_features(void);

// SIMD widths, the widest first.
enum { LETTER_AVX512, LETTER_AVX2, LETTER_PLAIN, LETTER_WIDTHS };

// Whether this CPU (and operating system) supports a SIMD width.
int letter_supports(int simd);

// Products of frozen weights and columns in panels. Every element is a sum of its own, taken in the order of its terms and
// starting from its offset, so it does not depend on the other columns either.

// to = weights · from + offsets for `panels` panels; with `rectify`, negative results are replaced by 0.
//
// weights: (outputs, inputs) in blocks, the last one filled up with any values; offsets: one for each row of the blocks;
// from: (inputs, columns) and to: (outputs, columns) in panels, not overlapping. NaN stays NaN.
void letter_layer(
    int simd, const float *weights, const float *offsets, long outputs, long inputs, const float *from, float *to,
    long panels, int rectify);

// For each column, the row with the least rows · column + offset (the first of equal ones), and the margin: the second
// least minus the least (infinite if there is one row).
//
// rows: (count, width) in blocks; offsets: one for each row of the blocks, infinite for the rows that fill the last block;
// columns: (width, columns) in panels; nearest and margins: one for each column. If all values of a column are NaN: row 0
// and a margin of NaN.
void letter_nearest(
    int simd, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins);

// One scaling of the rows of a matrix and the column sums that result, in one pass over the matrix:
// u[row] = 1 / (factor · max(Σ matrix[row][column] · v[column], the least normal number)) and
// sums[column] += Σ u[row] · matrix[row][column], row by row. The sum of a row is computed as 32 interleaved sums.
//
// matrix: (rows, columns) row by row; v, sums: (columns); u: (rows).
void letter_scale_rows(
    int simd, const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums);
