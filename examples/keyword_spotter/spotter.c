/* A keyword spotter that adapts to its speaker. clips.h holds what the device would hear.
 *
 * For every speaker and every fold of the clips: start from the exported weights, hear the fold with
 * learning off (before), learn from the other clips, hear the fold again (after).
 */
#include <stdio.h>

#include "clips.h"
#include "ls_model.h"

#define MODE (GATHERED ? LS_LEARN | LS_GATHER : LS_LEARN)
#define BYTES (GATHERED ? LS_ARENA_GATHER : LS_ARENA_LEARN)

static uint32_t arena[(BYTES + 3u) / 4u];
static ls_slot slots[LS_LAYERS];
static ls_net net;

/* One clip, with its label if it is to be learnt from; the word that was heard. */
static int hear(unsigned clip, int label)
{
    const uint8_t *channel = clip_events + clip_begins[clip];
    uint32_t index[MOST_EVENTS];
    ls_reset(&net);
    for (unsigned t = 0; t < STEPS; t++) {
        unsigned n = clip_counts[clip][t];
        for (unsigned i = 0; i < n; i++)
            index[i] = *channel++;
        if (ls_step_events(&net, index, n) != LS_OK || (label >= 0 && ls_learn(&net, label) != LS_OK))
            return -1;
    }
    if (label >= 0 && GATHERED && ls_update(&net, MOMENTUM) != LS_OK)
        return -1;
    return ls_predict(&net);
}

/* Clips of a fold that are understood. */
static unsigned understood(const speaker *s, unsigned fold)
{
    unsigned right = 0;
    for (unsigned i = 0; i < s->clips; i++)
        if (clip_fold[s->first + i] == fold)
            right += hear(s->first + i, -1) == clip_label[s->first + i];
    return right;
}

/* Learn from the other folds; whether every step was taken. */
static int learn_all_but(const speaker *s, unsigned fold)
{
    int well = 1;
    for (unsigned pass = 0; pass < PASSES; pass++)
        for (unsigned i = 0; i < s->clips; i++)
            if (clip_fold[s->first + i] != fold)
                well &= hear(s->first + i, clip_label[s->first + i]) >= 0;
    return well;
}

int main(void)
{
    for (unsigned k = 0; k < SPEAKERS; k++) {
        const speaker *s = speakers + k;
        unsigned before = 0, after = 0;
        for (unsigned fold = 0; fold < FOLDS; fold++) {
            if (ls_init(&net, &ls_model, slots, arena, sizeof arena, MODE) != LS_OK)
                return 1;
            ls_set_rate(&net, RATE);
            ls_set_seed(&net, SEED);
            ls_set_trainable(&net, LAYERS);
            before += understood(s, fold);
            if (!learn_all_but(s, fold))
                return 1;
            after += understood(s, fold);
        }
        printf("speaker %s: clips %u, before %u, after %u\n", s->name, s->clips, before, after);
    }
    return 0;
}
