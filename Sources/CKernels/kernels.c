#include "CKernels.h"

// Vectors wider than the target has are passed only among functions that are always inlined.
#pragma clang diagnostic ignored "-Wpsabi"

// Sums must be in registers, which the compiler does for arrays only where every index is known.
#define UNROLL _Pragma("clang loop unroll(full)")

enum {
    // Terms of a slice, and rows of a group of blocks: 24 KB of a panel, 9 KB of a block and 144 KB of a group.
    SLICE = 192,
    GROUP = 16 * LETTER_BLOCK,
};

#if defined(__x86_64__)

#define OF(name) name##_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES 16
#define ROWS 12
#define VECTORS 2
#include "kernels_of_width.h"

#define OF(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define ROWS 6
#define VECTORS 2
#include "kernels_of_width.h"

#endif

// Whatever the compiler may take for granted: on ARM its vectors with fused multiply-adds, elsewhere the C library's.
#define OF(name) name##_plain
#define TARGET
#define LANES 4
#define ROWS 6
#define VECTORS 4
#include "kernels_of_width.h"

int letter_has_vectors(int kind) {
    switch (kind) {
#if defined(__x86_64__)
    case LETTER_AVX512:
        return __builtin_cpu_supports("avx512f") != 0;
    case LETTER_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    case LETTER_PLAIN:
        return 1;
    default:
        return 0;
    }
}

void letter_layer(
    int kind, const float *weights, const float *offsets, long outputs, long inputs, const float *from, float *to, long panels,
    int rectify) {
    switch (kind) {
#if defined(__x86_64__)
    case LETTER_AVX512:
        layer_avx512(weights, offsets, outputs, inputs, from, to, panels, rectify);
        return;
    case LETTER_AVX2:
        layer_avx2(weights, offsets, outputs, inputs, from, to, panels, rectify);
        return;
#endif
    default:
        layer_plain(weights, offsets, outputs, inputs, from, to, panels, rectify);
    }
}

void letter_nearest(
    int kind, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins) {
    switch (kind) {
#if defined(__x86_64__)
    case LETTER_AVX512:
        nearest_avx512(rows, offsets, count, width, columns, panels, nearest, margins);
        return;
    case LETTER_AVX2:
        nearest_avx2(rows, offsets, count, width, columns, panels, nearest, margins);
        return;
#endif
    default:
        nearest_plain(rows, offsets, count, width, columns, panels, nearest, margins);
    }
}

void letter_scale_rows(
    int kind, const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums) {
    switch (kind) {
#if defined(__x86_64__)
    case LETTER_AVX512:
        scale_rows_avx512(matrix, rows, columns, v, factor, u, sums);
        return;
    case LETTER_AVX2:
        scale_rows_avx2(matrix, rows, columns, v, factor, u, sums);
        return;
#endif
    default:
        scale_rows_plain(matrix, rows, columns, v, factor, u, sums);
    }
}
