/* Keys lie sixteen positions abreast, so that scores need no sum across lanes. */
#include "attention.h"

#define CHUNK 2 /* vectors of a head whose sums fit in the registers for a whole group */

/* One head's part of some entries. */
typedef struct {
    half *keys, *values;
} head_entries;

static head_entries head_of(const entries *from, size_t head, int head_dim) {
    const size_t offset = head * (size_t)from->capacity * (size_t)head_dim;
    return (head_entries){from->keys + offset, from->values + offset};
}

void remember(const cache *memory, size_t head, int position, int head_dim, const float *key,
              const float *value) {
    const int is_own = position >= memory->split;
    const head_entries to = head_of(is_own ? &memory->branch : &memory->trunk, head, head_dim);
    const int place = is_own ? position - (int)memory->split : position;
    half *column = to.keys + (size_t)(place / LANES) * (size_t)head_dim * LANES + place % LANES;
    half *row = to.values + (size_t)place * (size_t)head_dim;
    for (int d = 0; d < head_dim; d++) {
        column[d * LANES] = (half)key[d];
        row[d] = (half)value[d];
    }
}

/* Scores of blocks `first` to `end`, whose keys begin at `keys`, out of num_blocks. */
INLINE void score(const half *keys, int first, int end, int num_blocks, int head_dim, int group,
                  const float *queries, float *scores) {
    for (int b = first; b < end; b++) {
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

INLINE void mix_entries(const half *values, int first, int end, int num_blocks, int head_dim,
                        int group, const float *weights, floats sums[MAX_GROUP][CHUNK]) {
    for (int i = first; i < end; i++, values += head_dim)
        for (int c = 0; c < CHUNK; c++) {
            const floats value = load_halves(values + c * LANES);
            for (int g = 0; g < group; g++)
                sums[g][c] += value * weights[g * num_blocks * LANES + i];
        }
}

INLINE void mix(head_entries trunk, head_entries branch, int split, int length, int num_blocks,
                int head_dim, int group, const float *weights, float *results) {
    for (int d = 0; d < head_dim; d += CHUNK * LANES) {
        floats sums[MAX_GROUP][CHUNK] = {{{0}}};
        mix_entries(trunk.values + d, 0, split, num_blocks, head_dim, group, weights, sums);
        mix_entries(branch.values + d, split, length, num_blocks, head_dim, group, weights, sums);
        for (int g = 0; g < group; g++)
            for (int c = 0; c < CHUNK; c++)
                store(results + g * head_dim + d + c * LANES, sums[g][c]);
    }
}

INLINE void attend_group(const cache *memory, size_t head, int length, int head_dim, int group,
                         const float *queries, float *scores, float *results) {
    const int num_blocks = (length + LANES - 1) / LANES;
    const int split = length < memory->split ? length : (int)memory->split;
    const int middle = length < memory->split ? num_blocks : split / LANES;
    const head_entries trunk = head_of(&memory->trunk, head, head_dim);
    const head_entries branch = head_of(&memory->branch, head, head_dim);
    score(trunk.keys, 0, middle, num_blocks, head_dim, group, queries, scores);
    score(branch.keys, middle, num_blocks, num_blocks, head_dim, group, queries, scores);
    for (int g = 0; g < group; g++) softmax(scores + g * num_blocks * LANES, num_blocks, length);
    mix(trunk, branch, split, length, num_blocks, head_dim, group, scores, results);
}

#define GROUP(count)                                                                      \
    case count:                                                                           \
        attend_group(memory, head, length, head_dim, count, queries, scores, results);    \
        break;

void attend(const cache *memory, size_t head, int length, int head_dim, int group,
            const float *queries, float *scores, float *results) {
    switch (group) { GROUP(1) GROUP(2) GROUP(3) GROUP(4) GROUP(5) GROUP(6) GROUP(7) GROUP(8) }
}
