/* A few threads that share the items of one parallel region after another. */
#ifndef TIERCEL_WORKERS_H
#define TIERCEL_WORKERS_H

typedef struct workers workers;
typedef void (*work)(void *context, int item, int worker);

/* Starts num_threads - 1 threads; the caller's is the last worker. NULL if that fails. */
workers *workers_start(int num_threads);

/* How many there are, the caller's thread included. */
int workers_count(const workers *team);

/* Between these two calls the threads stay awake. */
void workers_wake(workers *team);
void workers_rest(workers *team);

/* Runs `run` for every item from 0 to count - 1 and returns when all are done. */
void workers_run(workers *team, work run, void *context, int count);

void workers_stop(workers *team);

#endif
