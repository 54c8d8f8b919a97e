/* The exported network against hashes of a run that was worked out beside it: exit code 0 or 1.
 *
 * Every step is learnt from. Spikes and learnt weights must be the same to the bit on every
 * little-endian machine (the hashes are of bytes as they lie) and at every level of optimisation
 * that keeps the order of operations (-ffp-contract=off).
 */
#include <stdio.h>

#include "ls_model.h"
#include "vectors.h"

static uint32_t arena[(LS_ARENA_GATHER + 3u) / 4u];
static ls_net net;
static ls_slot slots[LS_LAYERS];

static uint32_t crc_of(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    crc = ~crc;
    while (bytes--) {
        crc ^= *at++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0u);
    }
    return ~crc;
}

static uint32_t spikes_of(uint32_t crc)
{
    for (unsigned i = 0; i < LS_LAYERS; i++) {
        if (slots[i].spikes)
            crc = crc_of(crc, slots[i].spikes, (ls_model.layer[i].neurons + 7u) / 8u);
    }
    return crc;
}

static int failed(const char *what, long got, long expected)
{
    printf("selfcheck: %s: got %ld, expected %ld\n", what, got, expected);
    return 1;
}

static int run(uint32_t flags, uint32_t *spikes)
{
    *spikes = 0;
    for (unsigned t = 0; t < VECTOR_STEPS; t++) {
        if (t % VECTOR_LENGTH == 0) {
            if (t && flags & LS_GATHER && ls_update(&net, VECTOR_MOMENTUM) != LS_OK)
                return failed("ls_update", -1, LS_OK);
            ls_reset(&net);
        }
        if (ls_step(&net, vector_counts[t]) != LS_OK)
            return failed("ls_step", -1, LS_OK);
        *spikes = spikes_of(*spikes);
        if (flags && ls_learn(&net, vector_labels[t / VECTOR_LENGTH]) != LS_OK)
            return failed("ls_learn", -1, LS_OK);
    }
    return 0;
}

static int hashes(const char *name, uint32_t flags, uint32_t want_spikes, uint32_t want_weights)
{
    uint32_t spikes, weights = 0;
    int code = ls_init(&net, &ls_model, slots, arena, sizeof arena, flags);
    if (code != LS_OK)
        return failed("ls_init", code, LS_OK);
    ls_set_rate(&net, VECTOR_RATE);
    if (run(flags, &spikes))
        return 1;
    for (unsigned i = 0; i < LS_LAYERS; i++)
        if (slots[i].pre)
            weights = crc_of(weights, slots[i].weight,
                             ls_model.layer[i].learnt * sizeof(ls_weight));
    printf("selfcheck: %s: spikes %08lx, weights %08lx\n", name, (unsigned long)spikes,
           (unsigned long)weights);
    if (spikes != want_spikes)
        return failed(name, (long)spikes, (long)want_spikes);
    return weights == want_weights ? 0 : failed(name, (long)weights, (long)want_weights);
}

static int refusals(void)
{
    if (ls_init(&net, &ls_model, slots, arena, LS_ARENA_INFER - 4u, LS_INFER) != LS_BAD_ARENA)
        return failed("an arena too small", LS_OK, LS_BAD_ARENA);
    if (ls_arena_bytes(&ls_model, LS_INFER) != LS_ARENA_INFER)
        return failed("arena, infer", (long)ls_arena_bytes(&ls_model, LS_INFER), LS_ARENA_INFER);
    if (ls_arena_bytes(&ls_model, LS_LEARN) != LS_ARENA_LEARN)
        return failed("arena, learn", (long)ls_arena_bytes(&ls_model, LS_LEARN), LS_ARENA_LEARN);
    if (ls_arena_bytes(&ls_model, LS_LEARN | LS_GATHER) != LS_ARENA_GATHER)
        return failed("arena, gather", -1, LS_ARENA_GATHER);
    return 0;
}

int main(void)
{
    int bad = refusals();
    bad |= hashes("infer", LS_INFER, VECTOR_INFER_SPIKES, 0);
    if (VECTOR_LEARNS) {
        bad |= hashes("learn", LS_LEARN, VECTOR_LEARN_SPIKES, VECTOR_LEARN_WEIGHTS);
        bad |= hashes("gather", LS_LEARN | LS_GATHER, VECTOR_GATHER_SPIKES, VECTOR_GATHER_WEIGHTS);
    }
    printf("selfcheck: %s\n", bad ? "FAILED" : "passed");
    return bad;
}
