/* Grouped-query attention of one row over one sequence's cache. */
#ifndef TIERCEL_ATTENTION_H
#define TIERCEL_ATTENTION_H

#include "vectors.h"

/* The most query heads that share a key head. */
#define MAX_GROUP 8

/* Keys and values, for every layer and key head `capacity` entries:
 * keys [layers, heads, capacity / 16, head_dim, 16], values [layers, heads, capacity, head_dim]. */
typedef struct {
    half *keys, *values;
    int64_t capacity; /* entries, a multiple of 16 */
} entries;

/* One sequence: its first `split` entries are the trunk's, which other branches of a tree share,
 * and those that follow its own. */
typedef struct {
    entries trunk, branch;
    int64_t split; /* a multiple of 16 */
} cache;

/* Stores one entry of one head, which is the `head`th of all layers' heads. */
void remember(const cache *memory, size_t head, int position, int head_dim, const float *key,
              const float *value);

/* results[g] = softmax(queries[g] . keys) . values over the first `length` entries of one head;
 * queries and results are [group, head_dim], `scores` has room for group * (length rounded up to
 * 16). Where the entries are split changes no bit. */
void attend(const cache *memory, size_t head, int length, int head_dim, int group,
            const float *queries, float *scores, float *results);

#endif
