// The kernels for one kind of vectors, to be included once for each with these set:
//   OF(name)   name for this kind             TARGET    attribute that lets the compiler use it
//   LANES      floats of a vector             ROWS, VECTORS   rows and vectors of columns whose sums are in registers
// No include guard.

typedef float OF(vector) __attribute__((vector_size(4 * LANES)));
typedef int32_t OF(integers) __attribute__((vector_size(4 * LANES)));

TARGET static inline __attribute__((always_inline)) OF(vector) OF(load)(const float *from) {
    OF(vector) value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

TARGET static inline __attribute__((always_inline)) void OF(store)(float *to, OF(vector) value) {
    __builtin_memcpy(to, &value, sizeof value);
}

TARGET static inline __attribute__((always_inline)) OF(vector) OF(all)(float value) {
    OF(vector) result;
    for (int lane = 0; lane < LANES; lane++) result[lane] = value;
    return result;
}

TARGET static inline __attribute__((always_inline)) OF(vector) OF(choose)(
    OF(integers) condition, OF(vector) yes, OF(vector) no) {
    return (OF(vector))(((OF(integers))yes & condition) | ((OF(integers))no & ~condition));
}

// Goes on with the sums of one block of weights and one panel over `depth` terms: from `offsets`, one a row, or where that is
// null from what `sums` holds, row by row. `rectify` puts 0 for negative results.
TARGET static inline __attribute__((always_inline)) void OF(block)(
    const float *restrict weights, const float *restrict columns, long depth, const float *restrict offsets,
    float *restrict sums, int rectify) {
    for (int first = 0; first < LETTER_PANEL; first += LANES * VECTORS) {
        for (int row = 0; row < LETTER_BLOCK; row += ROWS) {
            float *place = sums + row * LETTER_PANEL + first;
            OF(vector) sum[ROWS][VECTORS];
            UNROLL for (int r = 0; r < ROWS; r++) {
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    sum[r][v] = offsets ? OF(all)(offsets[row + r]) : OF(load)(place + r * LETTER_PANEL + v * LANES);
                }
            }
            const float *w = weights + row;
            const float *x = columns + first;
            for (long term = 0; term < depth; term++, w += LETTER_BLOCK, x += LETTER_PANEL) {
                OF(vector) lanes[VECTORS];
                UNROLL for (int v = 0; v < VECTORS; v++) lanes[v] = OF(load)(x + v * LANES);
                UNROLL for (int r = 0; r < ROWS; r++) {
                    OF(vector) weight = OF(all)(w[r]);
                    UNROLL for (int v = 0; v < VECTORS; v++) {
                        sum[r][v] = __builtin_elementwise_fma(weight, lanes[v], sum[r][v]);
                    }
                }
            }
            UNROLL for (int r = 0; r < ROWS; r++) {
                UNROLL for (int v = 0; v < VECTORS; v++) {
                    OF(vector) value = sum[r][v];
                    // A comparison and not a maximum: NaN stays.
                    if (rectify) value = OF(choose)(value < OF(all)(0), OF(all)(0), value);
                    OF(store)(place + r * LETTER_PANEL + v * LANES, value);
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
    // A slice of a panel is in the first cache while a group of blocks passes by, which stays in the second for all panels.
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
    enum { PARTS = LETTER_PANEL / LANES };
    float values[LETTER_BLOCK * LETTER_PANEL] __attribute__((aligned(64)));
    for (long panel = 0; panel < panels; panel++) {
        OF(vector) best[PARTS], second[PARTS];
        OF(integers) place[PARTS];
        for (int p = 0; p < PARTS; p++) {
            best[p] = second[p] = OF(all)(__builtin_inff());
            place[p] = (OF(integers)){0};
        }
        for (long first = 0; first < count; first += LETTER_BLOCK) {
            OF(block)(
                rows + first * width, columns + panel * LETTER_ROUNDED(width) * LETTER_PANEL, width, offsets + first,
                values, 0);
            for (int row = 0; row < LETTER_BLOCK; row++) {
                for (int p = 0; p < PARTS; p++) {
                    OF(vector) value = OF(load)(values + row * LETTER_PANEL + p * LANES);
                    OF(integers) closer = value < best[p];
                    OF(vector) worse = OF(choose)(closer, best[p], value);
                    second[p] = OF(choose)(worse < second[p], worse, second[p]);
                    best[p] = OF(choose)(closer, value, best[p]);
                    place[p] = (place[p] & ~closer) | (((OF(integers)){0} + (int32_t)(first + row)) & closer);
                }
            }
        }
        for (int p = 0; p < PARTS; p++) {
            long at = panel * LETTER_PANEL + p * LANES;
            OF(store)(margins + at, second[p] - best[p]);
            __builtin_memcpy(nearest + at, &place[p], sizeof place[p]);
        }
    }
}

// Eight numbers at a time whatever the vectors, so that sums are the same.
typedef double OF(eight) __attribute__((vector_size(64)));

TARGET static inline __attribute__((always_inline)) OF(eight) OF(load_eight)(const double *from) {
    OF(eight) value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

// Scales `count` rows that follow each other, a number known to the compiler.
TARGET static inline __attribute__((always_inline)) void OF(scale_some)(
    int count, const double *restrict matrix, long columns, const double *restrict v, double factor, double *restrict u,
    double *restrict sums) {
    OF(eight) parts[4][4];
    UNROLL for (int r = 0; r < count; r++) {
        UNROLL for (int p = 0; p < 4; p++) parts[r][p] = (OF(eight)){0};
    }
    long whole = columns / 32 * 32;
    for (long column = 0; column < whole; column += 32) {
        UNROLL for (int p = 0; p < 4; p++) {
            OF(eight) factors = OF(load_eight)(v + column + p * 8);
            UNROLL for (int r = 0; r < count; r++) {
                OF(eight) values = OF(load_eight)(matrix + r * columns + column + p * 8);
                parts[r][p] = __builtin_elementwise_fma(values, factors, parts[r][p]);
            }
        }
    }
    OF(eight) scale[4];
    UNROLL for (int r = 0; r < count; r++) {
        OF(eight) part = (parts[r][0] + parts[r][1]) + (parts[r][2] + parts[r][3]);
        double sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
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
#undef VECTORS
