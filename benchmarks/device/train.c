/* Trains an exported network on sequences piped in, and judges it with learning off.
 *
 * in:  a head; the sequences to judge by (a label, steps); then for every sequence to learn from 'L',
 *      a step size, a label, steps; and 'J' wherever it is to be judged. A step is a bit an input.
 * out: a line per 'J': the class predicted for every sequence, spikes a neuron and step by layer.
 *      The first argument names a file for the weights learnt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ls_model.h"

#define BYTES ((LS_INPUTS + 7u) / 8u)
#define MODE (LS_LEARN | (LS_GATHER * (head.gather != 0u)))

typedef struct {
    uint32_t steps, judged, gather, seed;
    float momentum;
} header;

static uint32_t arena[(LS_ARENA_GATHER + 3u) / 4u];
static ls_net net;
static ls_slot slots[LS_LAYERS];
static header head;

static void stop(const char *why)
{
    fprintf(stderr, "train: %s\n", why);
    exit(1);
}

static void take(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes)
        stop("the input ends early");
}

static void step(const uint8_t *bits)
{
    uint8_t counts[LS_INPUTS];
    for (unsigned i = 0; i < LS_INPUTS; i++)
        counts[i] = (uint8_t)(bits[i >> 3] >> (i & 7u) & 1u);
    if (ls_step(&net, counts) != LS_OK)
        stop("a step was refused");
}

static void learn(uint8_t *sequence)
{
    float rate;
    uint8_t label;
    take(&rate, sizeof rate);
    take(&label, 1);
    take(sequence, head.steps * BYTES);
    ls_set_rate(&net, rate);
    ls_reset(&net);
    for (uint32_t t = 0; t < head.steps; t++) {
        step(sequence + t * BYTES);
        if (ls_learn(&net, label) != LS_OK)
            stop("a label was refused");
    }
    if (head.gather && ls_update(&net, head.momentum) != LS_OK)
        stop("an update was refused");
}

static void count_spikes(unsigned long *fired)
{
    for (unsigned i = 0; i < LS_LAYERS; i++)
        for (uint32_t k = 0; slots[i].spikes && k < ls_model.layer[i].neurons; k++)
            fired[i] += slots[i].spikes[k >> 3] >> (k & 7u) & 1u;
}

static void judge(const uint8_t *sequences)
{
    unsigned long fired[LS_LAYERS] = {0};
    for (uint32_t n = 0; n < head.judged; n++, sequences += head.steps * BYTES) {
        ls_reset(&net);
        for (uint32_t t = 0; t < head.steps; t++) {
            step(sequences + t * BYTES);
            count_spikes(fired);
        }
        putchar('0' + ls_predict(&net));
    }
    for (unsigned i = 0; i + 1u < LS_LAYERS; i++)
        printf(" %.4f", (double)fired[i]
                            / ((double)ls_model.layer[i].neurons * head.steps * head.judged));
    printf("\n");
    fflush(stdout);
}

static void save(const char *path)
{
    FILE *to = fopen(path, "wb");
    for (unsigned i = 0; to && i < LS_LAYERS; i++)
        fwrite(slots[i].weight, sizeof(ls_weight), ls_model.layer[i].learnt, to);
    if (!to || fclose(to))
        stop("the weights were not written");
}

int main(int n, char **arguments)
{
    uint8_t *held, *sequence;
    int what;
    take(&head, sizeof head);
    held = malloc((size_t)head.judged * head.steps * BYTES);
    sequence = malloc((size_t)head.steps * BYTES);
    if (!held || !sequence)
        stop("no memory");
    take(held, (size_t)head.judged * head.steps * BYTES);
    if (ls_init(&net, &ls_model, slots, arena, sizeof arena, MODE) != LS_OK)
        stop("the model was refused");
    ls_set_seed(&net, head.seed);
    while ((what = getchar()) != EOF) {
        if (what == 'L')
            learn(sequence);
        else if (what == 'J')
            judge(held);
        else
            stop("neither L nor J");
    }
    if (n > 1)
        save(arguments[1]);
    free(held);
    free(sequence);
    return 0;
}
