#include "CKernels.h"

// SIMD values wider than the compiler's target are passed only between functions that are always inlined.
#pragma clang diagnostic ignored "-Wpsabi"

// The sums must stay in registers; the compiler keeps an array there only if every index is a constant.
#define UNROLL _Pragma("clang loop unroll(full)")

enum {
    // Terms of a slice, and rows of a group of blocks. A slice takes 24 KB of a panel, 9 KB of a block and 144 KB of a
    // group: the first two fit the first-level cache, the group fits the second.
    SLICE = 192,
    GROUP = 16 * LETTER_BLOCK,
};

#if defined(__x86_64__)

#define OF(name) name##_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES 16
#define ROWS 12
#define REGISTERS 2
#include "kernels_of_width.h"

#define OF(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define ROWS 6
#define REGISTERS 2
#include "kernels_of_width.h"

#endif

// What the compiler may use without a check: SIMD with fused multiply-adds on ARM, the C library's fma() elsewhere.
#define OF(name) name##_plain
#define TARGET
#define LANES 4
#define ROWS 6
#define REGISTERS 4
#include "kernels_of_width.h"

int letter_cpu_features(void) {
    int features = 0;
#if defined(__x86_64__)
    // The compiler's run-time library reads CPUID and XCR0 once, before main.
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        features |= LETTER_CPU_AVX2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
            features |= LETTER_CPU_AVX512;
        }
    }
#endif
    return features;
}

int letter_supports(int simd) {
    switch (simd) {
#if defined(__x86_64__)
    case LETTER_AVX512:
        return __builtin_cpu_supports("avx512f") != 0;
    case LETTER_AVX2:
        return (letter_cpu_features() & LETTER_CPU_AVX2) != 0;
#endif
    case LETTER_PLAIN:
        return 1;
    default:
        return 0;
    }
}

// The kernels for each SIMD width.
#define KERNELS(width) {layer_##width, nearest_##width, scale_rows_##width}
static const struct {
    void (*layer)(const float *, const float *, long, long, const float *, float *, long, int);
    void (*nearest)(const float *, const float *, long, long, const float *, long, int32_t *, float *);
    void (*scale_rows)(const double *, long, long, const double *, double, double *, double *);
} kernels[LETTER_WIDTHS] = {
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
    int simd, const float *weights, const float *offsets, long outputs, long inputs, const float *from, float *to,
    long panels, int rectify) {
    kernels[simd].layer(weights, offsets, outputs, inputs, from, to, panels, rectify);
}

void letter_nearest(
    int simd, const float *rows, const float *offsets, long count, long width, const float *columns, long panels,
    int32_t *nearest, float *margins) {
    kernels[simd].nearest(rows, offsets, count, width, columns, panels, nearest, margins);
}

void letter_scale_rows(
    int simd, const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums) {
    kernels[simd].scale_rows(matrix, rows, columns, v, factor, u, sums);
}
