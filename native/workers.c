/* Threads take items one by one, so that one that the machine puts off holds up its own item only.
 * They spin between regions, a few microseconds each, and sleep between passes. */
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SPINS_BEFORE_YIELD 4000

typedef struct {
    work run;
    void *context;
} region;

typedef struct {
    workers *team;
    int index;
    pthread_t thread;
} worker;

struct workers {
    /* Which region is open, how many items it has, which is next: 16, 16 and 32 bits. In one word,
     * so that whoever takes an item knows which region it is of. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic int num_done;
    _Alignas(64) _Atomic bool awake;
    _Atomic bool ending;
    region regions[2]; /* the open one, and the one that a late thread may still look at */
    uint16_t generation;
    int num_others;
    worker *others;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void relax(int spins) {
    if (spins % SPINS_BEFORE_YIELD == SPINS_BEFORE_YIELD - 1) sched_yield();
#if defined(__x86_64__)
    else __builtin_ia32_pause();
#endif
}

/* Takes and runs one item; false if there is none. */
static bool work_once(workers *team, int index) {
    uint64_t seen = atomic_load_explicit(&team->ticket, memory_order_relaxed);
    if ((uint32_t)seen >= ((seen >> 32) & 0xffff)) return false;
    uint64_t ticket = atomic_fetch_add_explicit(&team->ticket, 1, memory_order_acq_rel);
    uint32_t item = (uint32_t)ticket;
    if (item >= ((ticket >> 32) & 0xffff)) return false;
    region *open = &team->regions[(ticket >> 48) & 1];
    open->run(open->context, (int)item, index);
    atomic_fetch_add_explicit(&team->num_done, 1, memory_order_acq_rel);
    return true;
}

static void sleep_until_woken(workers *team) {
    pthread_mutex_lock(&team->lock);
    while (!atomic_load(&team->awake) && !atomic_load(&team->ending))
        pthread_cond_wait(&team->changed, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

static void *serve(void *argument) {
    worker *self = argument;
    workers *team = self->team;
    for (int spins = 0; !atomic_load(&team->ending);) {
        if (work_once(team, self->index)) spins = 0;
        else if (atomic_load_explicit(&team->awake, memory_order_relaxed)) relax(spins++);
        else sleep_until_woken(team);
    }
    return NULL;
}

workers *workers_start(int num_threads) {
    workers *team = aligned_alloc(64, (sizeof *team + 63) / 64 * 64);
    if (!team) return NULL;
    *team = (workers){.others = calloc((size_t)num_threads, sizeof(worker))};
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->changed, NULL);
    for (int i = 0; team->others && i < num_threads - 1; i++) {
        worker *other = &team->others[i];
        *other = (worker){.team = team, .index = i + 1};
        if (pthread_create(&other->thread, NULL, serve, other)) break;
        team->num_others++;
    }
    return team;
}

int workers_count(const workers *team) { return team->num_others + 1; }

static void set_awake(workers *team, bool awake) {
    if (!team->num_others) return;
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->awake, awake);
    if (awake) pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
}

void workers_wake(workers *team) { set_awake(team, true); }

void workers_rest(workers *team) { set_awake(team, false); }

void workers_run(workers *team, work run, void *context, int count) {
    if (!team->num_others || count == 1) {
        for (int item = 0; item < count; item++) run(context, item, 0);
        return;
    }
    team->generation++;
    team->regions[team->generation & 1] = (region){run, context};
    atomic_store_explicit(&team->num_done, 0, memory_order_relaxed);
    uint64_t opened = (uint64_t)team->generation << 48 | (uint64_t)count << 32;
    atomic_store_explicit(&team->ticket, opened, memory_order_release);
    while (work_once(team, 0)) {}
    for (int spins = 0; atomic_load_explicit(&team->num_done, memory_order_acquire) < count;)
        relax(spins++);
}

void workers_stop(workers *team) {
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->ending, true);
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->num_others; i++) pthread_join(team->others[i].thread, NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->changed);
    free(team->others);
    free(team);
}
