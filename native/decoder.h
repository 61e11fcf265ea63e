/* A decoder of the llama family over quantized weights, for rows of any number of sequences. */
#ifndef TIERCEL_DECODER_H
#define TIERCEL_DECODER_H

#include "attention.h"
#include "linear.h"

/* Rows of one pass at most. */
#define MAX_ROWS 64

#define NUM_QKV 3
#define NUM_GATE_UP 2

/* Matrices that read the same rows may be of several formats. */
typedef struct {
    matrix qkv[NUM_QKV], gate_up[NUM_GATE_UP], attention_out, down;
    const float *qkv_bias; /* or NULL */
    const float *attention_norm, *feed_forward_norm;
} layer;

typedef struct {
    int32_t num_layers, hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim;
    int32_t max_length;
    float norm_epsilon;
    const layer *layers;
    matrix embedding, head;
    const float *output_norm;
    const float *cosines, *sines; /* [max_length, head_dim / 2] */
} model;

typedef struct decoder decoder;

/* The model's memory stays the caller's, and must outlive the decoder. NULL if memory is short. */
EXPORT decoder *decoder_open(const model *shape, int num_threads);
EXPORT void decoder_close(decoder *self);

/* Row r feeds tokens[r] at positions[r] of caches[sequences[r]]; rows of one sequence come in
 * order. Sequence shared_sequences[i] has row shared_rows[i] too: so the branches of a tree have
 * the rows before they part. logits [num_wanted, head.outputs] and, if not NULL, hidden [num_wanted, hidden_size]
 * are those of the rows `wanted`. At most MAX_ROWS rows. */
typedef struct {
    int32_t num_rows, num_wanted, num_shared;
    const cache *caches;
    const int32_t *sequences, *tokens, *positions, *wanted, *shared_rows, *shared_sequences;
    float *logits, *hidden;
} pass;

EXPORT void decoder_run(decoder *self, const pass *rows);

#endif
