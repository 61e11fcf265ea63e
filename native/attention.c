/* Keys lie sixteen positions abreast, so that scores need no sum across lanes. */
#include "attention.h"

#define CHUNK 2 /* vectors of a head whose sums fit in the registers for a whole group */

void remember(half *keys, half *values, int position, int head_dim, const float *key,
              const float *value) {
    half *column = keys + (size_t)(position / LANES) * (size_t)head_dim * LANES + position % LANES;
    half *row = values + (size_t)position * (size_t)head_dim;
    for (int d = 0; d < head_dim; d++) {
        column[d * LANES] = (half)key[d];
        row[d] = (half)value[d];
    }
}

INLINE void score(const half *keys, int num_blocks, int head_dim, int group, const float *queries,
                  float *scores) {
    for (int b = 0; b < num_blocks; b++) {
        floats sums[MAX_GROUP] = {{0}};
        for (int d = 0; d < head_dim; d++, keys += LANES) {
            const floats column = load_halves(keys);
            for (int g = 0; g < group; g++) sums[g] += column * queries[g * head_dim + d];
        }
        for (int g = 0; g < group; g++) store(scores + (g * num_blocks + b) * LANES, sums[g]);
    }
}

/* Turns scores into weights that add up to 1; entries from `length` on get 0. */
static void softmax(float *scores, int num_blocks, int length) {
    for (int i = length; i < num_blocks * LANES; i++) scores[i] = -1e30f;
    floats most = load(scores);
    for (int b = 1; b < num_blocks; b++) most = larger(most, load(scores + b * LANES));
    const float top = largest_of(most);
    floats sum = {0};
    for (int b = 0; b < num_blocks; b++) {
        const floats weight = exponential(load(scores + b * LANES) - top);
        store(scores + b * LANES, weight);
        sum += weight;
    }
    const float share = 1.0f / sum_of(sum);
    for (int b = 0; b < num_blocks; b++)
        store(scores + b * LANES, load(scores + b * LANES) * share);
}

INLINE void mix(const half *values, int num_blocks, int length, int head_dim, int group,
                const float *weights, float *results) {
    for (int d = 0; d < head_dim; d += CHUNK * LANES) {
        floats sums[MAX_GROUP][CHUNK] = {{{0}}};
        for (int i = 0; i < length; i++) {
            const half *entry = values + (size_t)i * (size_t)head_dim + d;
            for (int c = 0; c < CHUNK; c++) {
                const floats value = load_halves(entry + c * LANES);
                for (int g = 0; g < group; g++)
                    sums[g][c] += value * weights[g * num_blocks * LANES + i];
            }
        }
        for (int g = 0; g < group; g++)
            for (int c = 0; c < CHUNK; c++)
                store(results + g * head_dim + d + c * LANES, sums[g][c]);
    }
}

INLINE void attend_group(const half *keys, const half *values, int length, int head_dim, int group,
                         const float *queries, float *scores, float *results) {
    const int num_blocks = (length + LANES - 1) / LANES;
    score(keys, num_blocks, head_dim, group, queries, scores);
    for (int g = 0; g < group; g++) softmax(scores + g * num_blocks * LANES, num_blocks, length);
    mix(values, num_blocks, length, head_dim, group, scores, results);
}

#define GROUP(count)                                                                            \
    case count:                                                                                 \
        attend_group(keys, values, length, head_dim, count, queries, scores, results);          \
        break;

void attend(const half *keys, const half *values, int length, int head_dim, int group,
            const float *queries, float *scores, float *results) {
    switch (group) { GROUP(1) GROUP(2) GROUP(3) GROUP(4) GROUP(5) GROUP(6) GROUP(7) GROUP(8) }
}
