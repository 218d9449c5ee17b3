#pragma once

#include <stdint.h>

// Products of small blocks, for frozen weights and columns in panels: what Swift cannot say, because it compiles for one
// kind of processor, and a call must take the widest vectors of the one at hand.
//
// Every sum is taken alone, by fused multiply-adds in the order of its terms, in partial sums of LETTER_DEPTH terms that are
// then added up. So a result depends on its own numbers only: not on the processor, the vectors, the other columns, or the
// number of threads.

enum {
    // Rows of a block of weights. Weights lie block by block, in a block term by term, and there row by row.
    LETTER_BLOCK = 12,
    // Columns of a panel. Columns lie panel by panel, in a panel row by row, and there column by column.
    LETTER_PANEL = 32,
    // Terms of a partial sum.
    LETTER_DEPTH = 384,
};

// Kinds of vectors, the widest first.
enum { LETTER_AVX512, LETTER_AVX2, LETTER_PLAIN, LETTER_KINDS };

// Whether this processor (and system) has them.
int letter_has_vectors(int kind);

// to = weights · from + bias for `panels` panels, negative results replaced by 0 if `rectify`.
//
// weights: (outputs, inputs) in blocks, the last filled up with anything finite; bias: (outputs); from: (inputs, columns) and
// to: (outputs, columns) in panels, not overlapping. NaN stays NaN.
void letter_layer(
    int kind, const float *weights, const float *bias, long outputs, long inputs, const float *from, float *to, long panels,
    int rectify);

// For each column the row of least rows · column + offset, the first of equals, and how much less that is than the second
// least (infinite where there is one row).
//
// rows: (count, width) in blocks; offsets: one a row, those of the last block's filling infinite; columns: (width, columns) in
// panels; nearest and margins: one a column. Where all are NaN: row 0 and a margin of NaN.
void letter_nearest(
    int kind, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins);
