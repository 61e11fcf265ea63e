/* Matrix products of rows in 8-bit blocks with weights in 4- or 8-bit blocks. */
#ifndef TIERCEL_LINEAR_H
#define TIERCEL_LINEAR_H

#include <stdint.h>

#include "workers.h"

/* Outputs of a matrix that lie interleaved in memory, and are computed together. */
#define PANEL 16

/* Rows as signed bytes in blocks: value = scale * code. `sums` adds up the codes of each block. */
typedef struct {
    int inputs, block;
    int8_t *codes;  /* [rows, inputs] */
    float *scales;  /* [rows, inputs / block] */
    int32_t *sums;  /* [rows, inputs / block] */
} quantized_rows;

/* A matrix in panels of 16 outputs. A panel is a sequence of blocks along the inputs, each
 *   codes    bits 4: [block / 8, 16, 4] bytes, input i of the first half of the block in the low
 *            nibble, input i + block / 2 in the high one; bits 8: [block / 4, 16, 4] bytes
 *   scales   16 halves
 *   offsets  16 halves; bits 4 only. With bits 8 the code of 0 is 128. */
typedef struct {
    int32_t bits, block, inputs, outputs;
    int32_t column; /* where the first output goes in a row of the result */
    const uint8_t *panels;
} matrix;

void quantize_row(quantized_rows *into, int row, const float *values);

/* result[row, column + o] = sum over i of rows[row, i] * parts[p][o, i], for every part; `inputs`
 * holds the rows in each part's block size. `stride` is the width of `result`. */
typedef struct {
    const matrix *parts;
    int num_parts, num_rows, stride;
    const quantized_rows *by_block[2]; /* blocks of 32, blocks of 16 */
    float *result;
} product;

void multiply(workers *team, const product *job);

/* Writes the weights of one output, [inputs], as floats. */
void read_row(const matrix *m, int output, float *into);

#endif
