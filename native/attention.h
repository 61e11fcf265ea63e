/* Grouped-query attention of one row over one sequence's cache. */
#ifndef TIERCEL_ATTENTION_H
#define TIERCEL_ATTENTION_H

#include "vectors.h"

/* The most query heads that share a key head. */
#define MAX_GROUP 8

/* Keys and values of one sequence, for every layer and key head `capacity` entries:
 * keys [layers, heads, capacity / 16, head_dim, 16], values [layers, heads, capacity, head_dim]. */
typedef struct {
    half *keys, *values;
    int64_t capacity; /* entries, a multiple of 16 */
} cache;

/* Stores one entry of one head; `keys` and `values` are that head's. */
void remember(half *keys, half *values, int position, int head_dim, const float *key,
              const float *value);

/* results[g] = softmax(queries[g] . keys) . values over the first `length` entries; queries and
 * results are [group, head_dim], `scores` has room for group * (length rounded up to 16). */
void attend(const half *keys, const half *values, int length, int head_dim, int group,
            const float *queries, float *scores, float *results);

#endif
