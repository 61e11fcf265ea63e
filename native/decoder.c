/* One forward pass. Whatever is worked out for a row depends on that row and its sequence's cache
 * alone, never on its neighbours in the pass: that is what makes every width give the same bits. */
#include "decoder.h"

#include <math.h>

#include "decoder_memory.h"

typedef struct {
    decoder *self;
    const pass *rows;
    const layer *weights;
    int layer_index;
} step;

static void root_mean_square_norm(const decoder *self, const float *from, const float *gain,
                                  float *to) {
    const int size = self->shape.hidden_size;
    floats squares = {0};
    for (int i = 0; i < size; i += LANES) squares += load(from + i) * load(from + i);
    const float mean = sum_of(squares) / (float)size;
    const float scale = 1.0f / sqrtf(mean + self->shape.norm_epsilon);
    for (int i = 0; i < size; i += LANES) store(to + i, load(from + i) * scale * load(gain + i));
}

static int uses_block(const matrix *parts, int num_parts, int block) {
    for (int p = 0; p < num_parts; p++)
        if (parts[p].block == block) return 1;
    return 0;
}

static void quantize_for(const matrix *parts, int num_parts, quantized_rows by_block[2], int row,
                         const float *values) {
    for (int i = 0; i < 2; i++)
        if (uses_block(parts, num_parts, by_block[i].block)) quantize_row(&by_block[i], row, values);
}

static void apply(const step *s, const matrix *parts, int num_parts,
                  const quantized_rows by_block[2], float *result, int stride, int num_rows) {
    const product job = {parts, num_parts, num_rows, stride, {&by_block[0], &by_block[1]}, result};
    multiply(s->self->team, &job);
}

/* Below, each function that takes (context, row, worker) does one row's part of a region. */

static void prepare_attention(void *context, int row, int worker) {
    const step *s = context;
    decoder *self = s->self;
    (void)worker;
    const int size = self->shape.hidden_size;
    float *normed = self->normed + row * size;
    root_mean_square_norm(self, self->residual + row * size, s->weights->attention_norm, normed);
    quantize_for(s->weights->qkv, NUM_QKV, self->hidden_rows, row, normed);
}

static void rotate(float *head, int head_dim, const float *cosines, const float *sines) {
    const int middle = head_dim / 2;
    for (int i = 0; i < middle; i += LANES) {
        const floats low = load(head + i), high = load(head + middle + i);
        const floats c = load(cosines + i), s = load(sines + i);
        store(head + i, low * c - high * s);
        store(head + middle + i, high * c + low * s);
    }
}

static size_t head_index(const step *s, int head) {
    return (size_t)(s->layer_index * s->self->shape.num_kv_heads + head);
}

static void remember_row(const step *s, int row, int sequence) {
    const model *shape = &s->self->shape;
    const int dim = shape->head_dim;
    const float *keys = s->self->qkv + row * s->self->qkv_width + shape->num_heads * dim;
    const float *values = keys + shape->num_kv_heads * dim;
    for (int h = 0; h < shape->num_kv_heads; h++)
        remember(&s->rows->caches[sequence], head_index(s, h), s->rows->positions[row], dim,
                 keys + h * dim, values + h * dim);
}

static void place_keys(void *context, int row, int worker) {
    const step *s = context;
    const model *shape = &s->self->shape;
    (void)worker;
    const int dim = shape->head_dim, position = s->rows->positions[row];
    const float *cosines = shape->cosines + (size_t)position * (size_t)(dim / 2);
    const float *sines = shape->sines + (size_t)position * (size_t)(dim / 2);
    float *qkv = s->self->qkv + row * s->self->qkv_width;
    if (s->weights->qkv_bias)
        for (int i = 0; i < s->self->qkv_width; i++) qkv[i] += s->weights->qkv_bias[i];
    for (int h = 0; h < shape->num_heads + shape->num_kv_heads; h++)
        rotate(qkv + h * dim, dim, cosines, sines);
    remember_row(s, row, s->rows->sequences[row]);
    for (int i = 0; i < s->rows->num_shared; i++)
        if (s->rows->shared_rows[i] == row) remember_row(s, row, s->rows->shared_sequences[i]);
}

static void attend_one(void *context, int item, int worker) {
    const step *s = context;
    decoder *self = s->self;
    const model *shape = &self->shape;
    const int row = item % s->rows->num_rows, h = item / s->rows->num_rows;
    const int dim = shape->head_dim, group = shape->num_heads / shape->num_kv_heads;
    float *queries = self->qkv + row * self->qkv_width + h * group * dim;
    const float scale = 1.0f / sqrtf((float)dim);
    for (int i = 0; i < group * dim; i++) queries[i] *= scale;
    const cache *memory = &s->rows->caches[s->rows->sequences[row]];
    attend(memory, head_index(s, h), s->rows->positions[row] + 1, dim, group, queries,
           self->scores + (size_t)worker * self->score_size,
           self->attended + (row * shape->num_heads + h * group) * dim);
}

static void quantize_attended(void *context, int row, int worker) {
    const step *s = context;
    const int size = s->self->shape.num_heads * s->self->shape.head_dim;
    (void)worker;
    quantize_for(&s->weights->attention_out, 1, s->self->attended_rows, row,
                 s->self->attended + row * size);
}

static void add_to_residual(decoder *self, int row) {
    const int size = self->shape.hidden_size;
    float *total = self->residual + row * size;
    const float *more = self->added + row * size;
    for (int i = 0; i < size; i += LANES) store(total + i, load(total + i) + load(more + i));
}

static void prepare_feed_forward(void *context, int row, int worker) {
    const step *s = context;
    decoder *self = s->self;
    (void)worker;
    const int size = self->shape.hidden_size;
    float *normed = self->normed + row * size;
    add_to_residual(self, row);
    root_mean_square_norm(self, self->residual + row * size, s->weights->feed_forward_norm, normed);
    quantize_for(s->weights->gate_up, NUM_GATE_UP, self->hidden_rows, row, normed);
}

static void gate(void *context, int row, int worker) {
    const step *s = context;
    const int size = s->self->shape.intermediate_size;
    (void)worker;
    const float *gates = s->self->gate_up + (size_t)row * 2 * (size_t)size, *ups = gates + size;
    float *gated = s->self->gated + (size_t)row * (size_t)size;
    for (int i = 0; i < size; i += LANES) {
        const floats x = load(gates + i);
        store(gated + i, x / (exponential(-x) + 1.0f) * load(ups + i));
    }
    quantize_for(&s->weights->down, 1, s->self->gated_rows, row, gated);
}

static void finish_layer(void *context, int row, int worker) {
    (void)worker;
    add_to_residual(((const step *)context)->self, row);
}

static void run_layer(step *s) {
    decoder *self = s->self;
    const layer *w = s->weights;
    const model *shape = &self->shape;
    const int rows = s->rows->num_rows;
    workers_run(self->team, prepare_attention, s, rows);
    apply(s, w->qkv, NUM_QKV, self->hidden_rows, self->qkv, self->qkv_width, rows);
    workers_run(self->team, place_keys, s, rows);
    workers_run(self->team, attend_one, s, rows * shape->num_kv_heads);
    workers_run(self->team, quantize_attended, s, rows);
    apply(s, &w->attention_out, 1, self->attended_rows, self->added, shape->hidden_size, rows);
    workers_run(self->team, prepare_feed_forward, s, rows);
    apply(s, w->gate_up, NUM_GATE_UP, self->hidden_rows, self->gate_up,
          2 * shape->intermediate_size, rows);
    workers_run(self->team, gate, s, rows);
    apply(s, &w->down, 1, self->gated_rows, self->added, shape->hidden_size, rows);
    workers_run(self->team, finish_layer, s, rows);
}

static void run_head(step *s) {
    decoder *self = s->self;
    const pass *rows = s->rows;
    const int size = self->shape.hidden_size;
    for (int i = 0; i < rows->num_wanted; i++) {
        float *normed = rows->hidden ? rows->hidden + i * size : self->normed + i * size;
        root_mean_square_norm(self, self->residual + rows->wanted[i] * size,
                              self->shape.output_norm, normed);
        quantize_for(&self->shape.head, 1, self->hidden_rows, i, normed);
    }
    apply(s, &self->shape.head, 1, self->hidden_rows, rows->logits,
          self->shape.head.outputs, rows->num_wanted);
}

void decoder_run(decoder *self, const pass *rows) {
    step s = {.self = self, .rows = rows};
    for (int row = 0; row < rows->num_rows; row++)
        read_row(&self->shape.embedding, rows->tokens[row],
                 self->residual + row * self->shape.hidden_size);
    workers_wake(self->team);
    for (s.layer_index = 0; s.layer_index < self->shape.num_layers; s.layer_index++) {
        s.weights = &self->shape.layers[s.layer_index];
        run_layer(&s);
    }
    if (rows->num_wanted) run_head(&s);
    workers_rest(self->team);
}
