/* The inside of a decoder, shared by the pass and by what allocates its memory. */
#ifndef TIERCEL_DECODER_MEMORY_H
#define TIERCEL_DECODER_MEMORY_H

#include "decoder.h"

struct decoder {
    model shape;
    workers *team;
    int qkv_width;
    float *residual, *normed, *qkv, *attended, *added, *gate_up, *gated; /* [MAX_ROWS, ...] */
    float *scores;                                                       /* a part for each worker */
    size_t score_size;
    quantized_rows hidden_rows[2], attended_rows[2], gated_rows[2]; /* blocks of 32, of 16 */
};

#endif
