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

// The kernels of each kind.
#define KERNELS(width) {layer_##width, nearest_##width, scale_rows_##width}
static const struct {
    void (*layer)(const float *, const float *, long, long, const float *, float *, long, int);
    void (*nearest)(const float *, const float *, long, long, const float *, long, int32_t *, float *);
    void (*scale_rows)(const double *, long, long, const double *, double, double *, double *);
} kernels[LETTER_KINDS] = {
#if defined(__x86_64__)
    [LETTER_AVX512] = KERNELS(avx512),
    [LETTER_AVX2] = KERNELS(avx2),
#else
    [LETTER_AVX512] = KERNELS(plain),
    [LETTER_AVX2] = KERNELS(plain),
#endif
    [LETTER_PLAIN] = KERNELS(plain),
};

void letter_layer(
    int kind, const float *weights, const float *offsets, long outputs, long inputs, const float *from, float *to, long panels,
    int rectify) {
    kernels[kind].layer(weights, offsets, outputs, inputs, from, to, panels, rectify);
}

void letter_nearest(
    int kind, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins) {
    kernels[kind].nearest(rows, offsets, count, width, columns, panels, nearest, margins);
}

void letter_scale_rows(
    int kind, const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums) {
    kernels[kind].scale_rows(matrix, rows, columns, v, factor, u, sums);
}
