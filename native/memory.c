/* What a decoder works in, allocated once for the widest pass. */
#include "decoder.h"

#include <stdlib.h>

#include "decoder_memory.h"

static void *aligned(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }

static float *rows_of(int width) { return aligned((size_t)MAX_ROWS * (size_t)width * sizeof(float)); }

static int open_rows(quantized_rows by_block[2], int inputs) {
    int is_open = 1;
    for (int i = 0; i < 2; i++) {
        const int block = i ? 16 : 32;
        const size_t codes = (size_t)MAX_ROWS * (size_t)inputs, blocks = codes / (size_t)block;
        by_block[i] = (quantized_rows){inputs, block, aligned(codes), aligned(4 * blocks),
                                       aligned(4 * blocks)};
        is_open &= by_block[i].codes && by_block[i].scales && by_block[i].sums;
    }
    return is_open;
}

static void close_rows(quantized_rows by_block[2]) {
    for (int i = 0; i < 2; i++) {
        free(by_block[i].codes);
        free(by_block[i].scales);
        free(by_block[i].sums);
    }
}

static int open_floats(decoder *self, int num_threads) {
    const model *shape = &self->shape;
    const int attended = shape->num_heads * shape->head_dim;
    const int group = shape->num_heads / shape->num_kv_heads;
    self->qkv_width = attended + 2 * shape->num_kv_heads * shape->head_dim;
    self->residual = rows_of(shape->hidden_size);
    self->normed = rows_of(shape->hidden_size);
    self->added = rows_of(shape->hidden_size);
    self->qkv = rows_of(self->qkv_width);
    self->attended = rows_of(attended);
    self->gate_up = rows_of(2 * shape->intermediate_size);
    self->gated = rows_of(shape->intermediate_size);
    self->score_size = (size_t)group * (size_t)(shape->max_length + 2 * LANES);
    self->scores = aligned(self->score_size * sizeof(float) * (size_t)num_threads);
    return self->residual && self->normed && self->added && self->qkv && self->attended &&
           self->gate_up && self->gated && self->scores;
}

decoder *decoder_open(const model *shape, int num_threads) {
    decoder *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->shape = *shape;
    self->team = workers_start(num_threads);
    int is_open = self->team != NULL && open_floats(self, num_threads);
    is_open &= open_rows(self->hidden_rows, shape->hidden_size);
    is_open &= open_rows(self->attended_rows, shape->num_heads * shape->head_dim);
    is_open &= open_rows(self->gated_rows, shape->intermediate_size);
    if (is_open) return self;
    decoder_close(self);
    return NULL;
}

void decoder_close(decoder *self) {
    if (self->team) workers_stop(self->team);
    float *const all_floats[] = {self->residual, self->normed, self->added,  self->qkv,
                                 self->attended, self->gate_up, self->gated, self->scores};
    for (size_t i = 0; i < sizeof all_floats / sizeof *all_floats; i++) free(all_floats[i]);
    close_rows(self->hidden_rows);
    close_rows(self->attended_rows);
    close_rows(self->gated_rows);
    free(self);
}
