/* Sixteen lanes of arithmetic in GNU C: one AVX-512 register, or as many smaller ones as the
 * machine has. Every sum below runs lane by lane in one fixed order, so that a row's bits depend
 * on nothing but that row. */
#ifndef TIERCEL_VECTORS_H
#define TIERCEL_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

typedef _Float16 half;
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef half halves __attribute__((vector_size(2 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
typedef int8_t bytes __attribute__((vector_size(LANES)));

INLINE floats load(const float *from) {
    floats v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, floats v) { memcpy(to, &v, sizeof v); }

INLINE floats load_halves(const half *from) {
    halves v;
    memcpy(&v, from, sizeof v);
    return __builtin_convertvector(v, floats);
}

/* Stores whole numbers from -128 to 127. */
INLINE void store_bytes(int8_t *to, floats v) {
    const bytes narrow = __builtin_convertvector(__builtin_convertvector(v, ints), bytes);
    memcpy(to, &narrow, sizeof narrow);
}

INLINE floats all(float x) { return x - (floats){0}; }

INLINE floats choose(ints where, floats a, floats b) {
    ints chosen = (where & (ints)a) | (~where & (ints)b);
    return (floats)chosen;
}

INLINE floats larger(floats a, floats b) { return choose(a > b, a, b); }

INLINE floats magnitude(floats v) { return larger(v, -v); }

/* The lanes of v with neighbours at a distance of `width` exchanged. */
#define EXCHANGED(v, width)                                                                         \
    __builtin_shufflevector(v, v, 0 ^ width, 1 ^ width, 2 ^ width, 3 ^ width, 4 ^ width,        \
                            5 ^ width, 6 ^ width, 7 ^ width, 8 ^ width, 9 ^ width, 10 ^ width,  \
                            11 ^ width, 12 ^ width, 13 ^ width, 14 ^ width, 15 ^ width)

INLINE float sum_of(floats v) {
    v += EXCHANGED(v, 8);
    v += EXCHANGED(v, 4);
    v += EXCHANGED(v, 2);
    v += EXCHANGED(v, 1);
    return v[0];
}

INLINE float largest_of(floats v) {
    v = larger(v, EXCHANGED(v, 8));
    v = larger(v, EXCHANGED(v, 4));
    v = larger(v, EXCHANGED(v, 2));
    v = larger(v, EXCHANGED(v, 1));
    return v[0];
}

/* Rounds to the nearest integer, ties to even; |v| below 2^22. */
INLINE floats rounded(floats v) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: the sum keeps no fraction */
    return (v + shift) - shift;
}

/* e^v to about 2 units in the last place (minimax polynomial of degree 6); 0 below -87. */
INLINE floats exponential(floats v) {
    floats bounded = larger(v, all(-87.0f));
    bounded = choose(bounded < 88.0f, bounded, all(88.0f));
    floats n = rounded(bounded * 1.44269504f);
    floats r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    floats y = all(1.9875691500e-4f);
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    ints power = (__builtin_convertvector(n, ints) + 127) << 23;
    return choose(v < -87.0f, all(0.0f), y * (floats)power);
}

#endif
