// The kernels for one SIMD width. To be included once for each width, with these macros defined:
//   OF(name)           the name for this width
//   TARGET             the attribute that lets the compiler use the instruction set
//   LANES              floats in a register
//   ROWS, REGISTERS    rows, and registers of columns, whose sums are kept in registers at the same time
// No include guard.

typedef float OF(simd) __attribute__((vector_size(4 * LANES)));
typedef int32_t OF(integers) __attribute__((vector_size(4 * LANES)));

TARGET static inline __attribute__((always_inline)) OF(simd) OF(load)(const float *from) {
    OF(simd) value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

TARGET static inline __attribute__((always_inline)) void OF(store)(float *to, OF(simd) value) {
    __builtin_memcpy(to, &value, sizeof value);
}

TARGET static inline __attribute__((always_inline)) OF(simd) OF(broadcast)(float value) {
    OF(simd) result;
    for (int lane = 0; lane < LANES; lane++) result[lane] = value;
    return result;
}

TARGET static inline __attribute__((always_inline)) OF(simd) OF(choose)(
    OF(integers) condition, OF(simd) yes, OF(simd) no) {
    return (OF(simd))(((OF(integers))yes & condition) | ((OF(integers))no & ~condition));
}

// Continues the sums of one block of weights and one panel over `depth` terms. They start from `offsets`, one for each row,
// or from the values in `sums`, row by row, if `offsets` is null. `rectify` replaces negative results by 0.
TARGET static inline __attribute__((always_inline)) void OF(block)(
    const float *restrict weights, const float *restrict columns, long depth, const float *restrict offsets,
    float *restrict sums, int rectify) {
    for (int first = 0; first < LETTER_PANEL; first += LANES * REGISTERS) {
        for (int row = 0; row < LETTER_BLOCK; row += ROWS) {
            float *target = sums + row * LETTER_PANEL + first;
            OF(simd) sum[ROWS][REGISTERS];
            UNROLL for (int r = 0; r < ROWS; r++) {
                UNROLL for (int v = 0; v < REGISTERS; v++) {
                    sum[r][v] = offsets ? OF(broadcast)(offsets[row + r]) : OF(load)(target + r * LETTER_PANEL + v * LANES);
                }
            }
            const float *w = weights + row;
            const float *x = columns + first;
            for (long term = 0; term < depth; term++, w += LETTER_BLOCK, x += LETTER_PANEL) {
                OF(simd) lanes[REGISTERS];
                UNROLL for (int v = 0; v < REGISTERS; v++) lanes[v] = OF(load)(x + v * LANES);
                UNROLL for (int r = 0; r < ROWS; r++) {
                    OF(simd) weight = OF(broadcast)(w[r]);
                    UNROLL for (int v = 0; v < REGISTERS; v++) {
                        sum[r][v] = __builtin_elementwise_fma(weight, lanes[v], sum[r][v]);
                    }
                }
            }
            UNROLL for (int r = 0; r < ROWS; r++) {
                UNROLL for (int v = 0; v < REGISTERS; v++) {
                    OF(simd) value = sum[r][v];
                    // A comparison and not a maximum, so that NaN stays NaN.
                    if (rectify) value = OF(choose)(value < OF(broadcast)(0), OF(broadcast)(0), value);
                    OF(store)(target + r * LETTER_PANEL + v * LANES, value);
                }
            }
        }
    }
}

TARGET static void OF(layer)(
    const float *restrict weights, const float *restrict offsets, long outputs, long inputs, const float *restrict from,
    float *restrict to, long panels, int rectify) {
    long from_panel = LETTER_ROUNDED(inputs) * LETTER_PANEL;
    long to_panel = LETTER_ROUNDED(outputs) * LETTER_PANEL;
    // A slice of a panel stays in the first-level cache while a group of blocks is multiplied with it; the group stays in
    // the second-level cache for all panels.
    for (long start = 0; start < inputs; start += SLICE) {
        long depth = inputs - start < SLICE ? inputs - start : SLICE;
        int is_last = start + depth == inputs;
        for (long group = 0; group < outputs; group += GROUP) {
            long end = group + GROUP < outputs ? group + GROUP : outputs;
            for (long panel = 0; panel < panels; panel++) {
                const float *columns = from + panel * from_panel + start * LETTER_PANEL;
                for (long row = group; row < end; row += LETTER_BLOCK) {
                    OF(block)(
                        weights + row * inputs + start * LETTER_BLOCK, columns, depth, start == 0 ? offsets + row : 0,
                        to + panel * to_panel + row * LETTER_PANEL, is_last && rectify);
                }
            }
        }
    }
}

TARGET static void OF(nearest)(
    const float *restrict rows, const float *restrict offsets, long count, long width, const float *restrict columns,
    long panels, int32_t *restrict nearest, float *restrict margins) {
    // Registers that hold one row of a panel.
    enum { ROW_REGISTERS = LETTER_PANEL / LANES };
    float values[LETTER_BLOCK * LETTER_PANEL] __attribute__((aligned(64)));
    for (long panel = 0; panel < panels; panel++) {
        OF(simd) best[ROW_REGISTERS], second[ROW_REGISTERS];
        OF(integers) index[ROW_REGISTERS];
        for (int g = 0; g < ROW_REGISTERS; g++) {
            best[g] = second[g] = OF(broadcast)(__builtin_inff());
            index[g] = (OF(integers)){0};
        }
        for (long first = 0; first < count; first += LETTER_BLOCK) {
            OF(block)(
                rows + first * width, columns + panel * LETTER_ROUNDED(width) * LETTER_PANEL, width, offsets + first,
                values, 0);
            for (int row = 0; row < LETTER_BLOCK; row++) {
                for (int g = 0; g < ROW_REGISTERS; g++) {
                    OF(simd) value = OF(load)(values + row * LETTER_PANEL + g * LANES);
                    OF(integers) closer = value < best[g];
                    OF(simd) worse = OF(choose)(closer, best[g], value);
                    second[g] = OF(choose)(worse < second[g], worse, second[g]);
                    best[g] = OF(choose)(closer, value, best[g]);
                    index[g] = (index[g] & ~closer) | (((OF(integers)){0} + (int32_t)(first + row)) & closer);
                }
            }
        }
        for (int g = 0; g < ROW_REGISTERS; g++) {
            long at = panel * LETTER_PANEL + g * LANES;
            OF(store)(margins + at, second[g] - best[g]);
            __builtin_memcpy(nearest + at, &index[g], sizeof index[g]);
        }
    }
}

// Eight numbers at a time for every SIMD width, so that the sums are the same.
typedef double OF(eight) __attribute__((vector_size(64)));

TARGET static inline __attribute__((always_inline)) OF(eight) OF(load_eight)(const double *from) {
    OF(eight) value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

// Scales `count` consecutive rows; `count` is a constant for the compiler.
TARGET static inline __attribute__((always_inline)) void OF(scale_some)(
    int count, const double *restrict matrix, long columns, const double *restrict v, double factor, double *restrict u,
    double *restrict sums) {
    OF(eight) sums_of_row[4][4];
    UNROLL for (int r = 0; r < count; r++) {
        UNROLL for (int g = 0; g < 4; g++) sums_of_row[r][g] = (OF(eight)){0};
    }
    long whole = columns / 32 * 32;
    for (long column = 0; column < whole; column += 32) {
        UNROLL for (int g = 0; g < 4; g++) {
            OF(eight) factors = OF(load_eight)(v + column + g * 8);
            UNROLL for (int r = 0; r < count; r++) {
                OF(eight) values = OF(load_eight)(matrix + r * columns + column + g * 8);
                sums_of_row[r][g] = __builtin_elementwise_fma(values, factors, sums_of_row[r][g]);
            }
        }
    }
    OF(eight) scale[4];
    UNROLL for (int r = 0; r < count; r++) {
        OF(eight) e = (sums_of_row[r][0] + sums_of_row[r][1]) + (sums_of_row[r][2] + sums_of_row[r][3]);
        double sum = ((e[0] + e[1]) + (e[2] + e[3])) + ((e[4] + e[5]) + (e[6] + e[7]));
        for (long column = whole; column < columns; column++) {
            sum = __builtin_fma(matrix[r * columns + column], v[column], sum);
        }
        u[r] = 1 / (factor * (sum > 2.2250738585072014e-308 ? sum : 2.2250738585072014e-308));
        for (int lane = 0; lane < 8; lane++) scale[r][lane] = u[r];
    }
    long eights = columns / 8 * 8;
    for (long column = 0; column < eights; column += 8) {
        OF(eight) sum = OF(load_eight)(sums + column);
        UNROLL for (int r = 0; r < count; r++) {
            sum = __builtin_elementwise_fma(scale[r], OF(load_eight)(matrix + r * columns + column), sum);
        }
        __builtin_memcpy(sums + column, &sum, sizeof sum);
    }
    for (long column = eights; column < columns; column++) {
        for (int r = 0; r < count; r++) sums[column] = __builtin_fma(u[r], matrix[r * columns + column], sums[column]);
    }
}

TARGET static void OF(scale_rows)(
    const double *matrix, long rows, long columns, const double *v, double factor, double *u, double *sums) {
    long row = 0;
    for (; row + 4 <= rows; row += 4) OF(scale_some)(4, matrix + row * columns, columns, v, factor, u + row, sums);
    for (; row < rows; row++) OF(scale_some)(1, matrix + row * columns, columns, v, factor, u + row, sums);
}

#undef OF
#undef TARGET
#undef LANES
#undef ROWS
#undef REGISTERS
