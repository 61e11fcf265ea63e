/* The products are exact integers within a block (as llama.cpp's and MatMulNBits' are); blocks add
 * up in float, in the order of the inputs. */
#include "linear.h"

#include "vectors.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

#define MAX_TILE 8       /* rows whose sums fit in the registers */
#define ITEMS_PER_WORKER 3 /* few, as the processor reads ahead within one; not too few to share */
#define SCALE_BYTES (2 * PANEL)

void quantize_row(quantized_rows *into, int row, const float *values) {
    const int num_blocks = into->inputs / into->block;
    for (int b = 0; b < num_blocks; b++) {
        const float *from = values + b * into->block;
        floats most = {0}, faults = {0}; /* 0 times what is no number is no number */
        for (int i = 0; i < into->block; i += LANES) {
            most = larger(most, magnitude(load(from + i)));
            faults += load(from + i) * 0.0f;
        }
        const float scale = largest_of(most) / 127.0f + sum_of(faults);
        const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
        int8_t *codes = into->codes + (size_t)row * (size_t)into->inputs + b * into->block;
        floats sum = {0}; /* of whole numbers below 2^24: exact */
        for (int i = 0; i < into->block; i += LANES) {
            const floats code = rounded(load(from + i) * inverse);
            sum += code;
            store_bytes(codes + i, code);
        }
        into->scales[(size_t)row * (size_t)num_blocks + b] = scale;
        into->sums[(size_t)row * (size_t)num_blocks + b] = (int32_t)sum_of(sum);
    }
}

/* sums[o] += dot product of the four codes of output o with four codes of a row. */
INLINE ints add_dots(ints sums, const uint8_t weights[4 * LANES], const int8_t *row) {
#if defined(__AVX512VNNI__)
    int32_t four;
    memcpy(&four, row, sizeof four);
    return (ints)_mm512_dpbusd_epi32((__m512i)sums, _mm512_loadu_si512(weights),
                                     _mm512_set1_epi32(four));
#else
    for (int o = 0; o < LANES; o++)
        for (int k = 0; k < 4; k++) sums[o] += weights[4 * o + k] * row[k];
    return sums;
#endif
}

/* Splits 64 bytes into their low and high nibbles. */
INLINE void split(const uint8_t *packed, uint8_t low[4 * LANES], uint8_t high[4 * LANES]) {
    for (int i = 0; i < 4 * LANES; i++) {
        low[i] = packed[i] & 15;
        high[i] = packed[i] >> 4;
    }
}

/* One panel times `tile` rows, from `first` on. Called with constants, so that the compiler unrolls
 * everything and keeps the sums in registers. */
INLINE void panel_times_rows(const uint8_t *panel, int bits, int block, const quantized_rows *rows,
                             int first, int tile, floats *results) {
    const int inputs = rows->inputs, num_blocks = inputs / block;
    const int code_bytes = block * PANEL * bits / 8;
    const int8_t *codes = rows->codes + (size_t)first * (size_t)inputs;
    const float *scales = rows->scales + (size_t)first * (size_t)num_blocks;
    const int32_t *sums = rows->sums + (size_t)first * (size_t)num_blocks;
    floats totals[MAX_TILE] = {{0}};
    for (int b = 0; b < num_blocks; b++, codes += block) {
        ints dots[MAX_TILE];
        for (int r = 0; r < tile; r++)
            dots[r] = bits == 8 ? (ints){0} - 128 * sums[r * num_blocks + b] : (ints){0};
        for (int g = 0; g < code_bytes / 64; g++) {
            uint8_t low[4 * LANES], high[4 * LANES];
            if (bits == 4) split(panel + 64 * g, low, high);
            else memcpy(low, panel + 64 * g, sizeof low);
            for (int r = 0; r < tile; r++) {
                const int8_t *four = codes + r * inputs + 4 * g;
                dots[r] = add_dots(dots[r], low, four);
                if (bits == 4) dots[r] = add_dots(dots[r], high, four + block / 2);
            }
        }
        const half *numbers = (const half *)(panel + code_bytes);
        const floats steps = load_halves(numbers);
        floats offsets = {0};
        if (bits == 4) offsets = load_halves(numbers + PANEL);
        for (int r = 0; r < tile; r++) {
            floats part = __builtin_convertvector(dots[r], floats) * steps;
            if (bits == 4) part += offsets * (float)sums[r * num_blocks + b];
            totals[r] += part * scales[r * num_blocks + b];
        }
        panel += code_bytes + SCALE_BYTES * (bits == 4 ? 2 : 1);
    }
    for (int r = 0; r < tile; r++) results[r] = totals[r];
}

#define TILE(count)                                                             \
    case count:                                                                 \
        panel_times_rows(panel, bits, block, rows, first, count, results);      \
        break;

INLINE void panel_times_some(const uint8_t *panel, int bits, int block, const quantized_rows *rows,
                             int first, int tile, floats *results) {
    switch (tile) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) }
}

static size_t block_bytes(const matrix *m) {
    return (size_t)m->block * PANEL * (size_t)m->bits / 8 + SCALE_BYTES * (m->bits == 4 ? 2 : 1);
}

static size_t panel_bytes(const matrix *m) {
    return (size_t)(m->inputs / m->block) * block_bytes(m);
}

static int code_at(const matrix *m, const uint8_t *codes, int lane, int input) {
    if (m->bits == 8) return codes[input / 4 * 64 + lane * 4 + input % 4] - 128;
    const int middle = m->block / 2, low = input % middle;
    const uint8_t both = codes[low / 4 * 64 + lane * 4 + low % 4];
    return input < middle ? both & 15 : both >> 4;
}

void read_row(const matrix *m, int output, float *into) {
    const uint8_t *panel = m->panels + panel_bytes(m) * (size_t)(output / PANEL);
    const int lane = output % PANEL;
    for (int first = 0; first < m->inputs; first += m->block, panel += block_bytes(m)) {
        const half *numbers = (const half *)(panel + m->block * PANEL * m->bits / 8) + lane;
        const float step = (float)*numbers, offset = m->bits == 4 ? (float)numbers[PANEL] : 0.0f;
        for (int i = 0; i < m->block; i++)
            into[first + i] = (float)code_at(m, panel, lane, i) * step + offset;
    }
}

static void panel_times_tile(const matrix *m, const uint8_t *panel, const quantized_rows *rows,
                             int first, int tile, floats *results) {
    if (m->bits == 4) panel_times_some(panel, 4, 32, rows, first, tile, results);
    else if (m->block == 32) panel_times_some(panel, 8, 32, rows, first, tile, results);
    else panel_times_some(panel, 8, 16, rows, first, tile, results);
}

/* Asks for the next panel while this one is used again: the processor itself looks ahead only as
 * long as it reads on. */
static void prefetch(const uint8_t *panel, size_t size) {
    for (size_t i = 0; i < size; i += 64) __builtin_prefetch(panel + i);
}

static void one_panel(const product *job, const matrix *m, int index) {
    const quantized_rows *rows = job->by_block[m->block == 16];
    const size_t size = panel_bytes(m);
    const uint8_t *panel = m->panels + size * (size_t)index;
    float *result = job->result + m->column + (size_t)index * PANEL;
    for (int first = 0; first < job->num_rows; first += MAX_TILE) {
        if (first == MAX_TILE) prefetch(panel + size, size);
        const int left = job->num_rows - first, tile = left < MAX_TILE ? left : MAX_TILE;
        floats results[MAX_TILE];
        panel_times_tile(m, panel, rows, first, tile, results);
        for (int r = 0; r < tile; r++)
            store(result + (size_t)(first + r) * (size_t)job->stride, results[r]);
    }
}

typedef struct {
    const product *job;
    int panels_per_item;
} share;

static void some_panels(void *context, int item, int worker) {
    const share *mine = context;
    const product *job = mine->job;
    (void)worker;
    int panel = item * mine->panels_per_item, left = mine->panels_per_item;
    for (int p = 0; p < job->num_parts && left; p++) {
        const int count = job->parts[p].outputs / PANEL;
        for (; panel < count && left; panel++, left--) one_panel(job, &job->parts[p], panel);
        panel -= panel >= count ? count : 0;
    }
}

void multiply(workers *team, const product *job) {
    int panels = 0;
    for (int p = 0; p < job->num_parts; p++) panels += job->parts[p].outputs / PANEL;
    const int items = ITEMS_PER_WORKER * workers_count(team);
    share each = {job, (panels + items - 1) / items};
    workers_run(team, some_panels, &each, (panels + each.panels_per_item - 1) / each.panels_per_item);
}
