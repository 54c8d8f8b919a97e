/* A stream of events on a device: infer, learn as they come, save what was learnt and load it again.
 *
 * It works with every export that learns. In place of a sensor there is a toy: class c makes events
 * at inputs that only it has, with a little noise. What a sensor's driver would do is next_events.
 */
#include <stdio.h>
#include <string.h>

#include "ls_model.h" /* what `localspike export c` wrote of your network */

#define STEPS 12u     /* of a sequence: how long you listen before you answer */
#define MOST_EVENTS 8u
#define CLASSES_SEEN (LS_CLASSES < 4u ? LS_CLASSES : 4u)
#define SAMPLES 24u   /* learnt from; then as many to be judged by, without learning */

/* All of the network's memory. Its size is a constant: a device too small for it fails to link. */
static uint32_t arena[LS_ARENA_LEARN / 4u];
static ls_slot slots[LS_LAYERS];
static ls_net net;

/* In place of flash memory: what ls_save writes. 16 bytes of header and 4 of checksum are around the
 * weights, which are a part of the arena. */
static uint8_t flash[LS_ARENA_LEARN + 20u];
static size_t flash_bytes;

/* ---- the sensor ------------------------------------------------------------------------------- */

static uint32_t noise = 1u;

static uint32_t below(uint32_t n)
{
    noise = noise * 1664525u + 1013904223u;
    return (noise >> 8) % n;
}

/* Inputs that have an event in this time step. An input that is named twice has two. */
static size_t next_events(unsigned kind, uint32_t *index)
{
    size_t n = 0;
    while (n < MOST_EVENTS - 1u)
        index[n++] = (below(LS_INPUTS) / CLASSES_SEEN * CLASSES_SEEN + kind) % LS_INPUTS;
    index[n++] = below(LS_INPUTS);
    return n;
}

/* ---- saving ----------------------------------------------------------------------------------- */

/* ls_save calls this a few times, one piece after the other. 0 says that it is done. */
static int to_flash(void *context, const void *data, size_t bytes)
{
    (void)context;
    if (bytes > sizeof flash - flash_bytes)
        return 1;
    memcpy(flash + flash_bytes, data, bytes);
    flash_bytes += bytes;
    return 0;
}

/* ls_load asks for every piece twice: to check that nothing is damaged, and then to take it. */
static int from_flash(void *context, size_t offset, void *data, size_t bytes)
{
    (void)context;
    if (offset > flash_bytes || bytes > flash_bytes - offset)
        return 1;
    memcpy(data, flash + offset, bytes);
    return 0;
}

/* ---- the loop --------------------------------------------------------------------------------- */

/* One sequence; it is learnt from where `learns`. What the network takes it for, or an error. */
static int listen(unsigned kind, int learns)
{
    uint32_t index[MOST_EVENTS];
    ls_reset(&net); /* membranes and traces at rest, weights as they are */
    for (unsigned t = 0; t < STEPS; t++) {
        size_t n = next_events(kind, index);
        int code = ls_step_events(&net, index, n); /* refuses what is not an input */
        if (code == LS_OK && learns)
            code = ls_learn(&net, (int)kind); /* changes the weights, now */
        if (code != LS_OK)
            return code;
    }
    return ls_predict(&net);
}

/* Judged with learning off: a sequence learnt from has seen its own label. */
static unsigned right(void)
{
    unsigned found = 0;
    noise = 12345u; /* the same sequences each time */
    for (unsigned i = 0; i < SAMPLES; i++)
        found += listen(i % CLASSES_SEEN, 0) == (int)(i % CLASSES_SEEN);
    return found;
}

static int failed(const char *what, int code)
{
    printf("stream: %s: %d\n", what, code);
    return 1;
}

static int begin(void)
{
    int code = ls_init(&net, &ls_model, slots, arena, sizeof arena, LS_LEARN);
    ls_set_rate(&net, 0.02f);
    ls_set_seed(&net, 2026u); /* of stochastic rounding; float weights have no use for it */
    return code;
}

int main(void)
{
    unsigned before, after, again;
    int code = begin();
    if (code != LS_OK)
        return failed("ls_init", code);
    before = right();
    for (unsigned i = 0; i < SAMPLES; i++)
        if ((code = listen(i % CLASSES_SEEN, 1)) < 0)
            return failed("listening", code);
    after = right();

    if ((code = ls_save(&net, to_flash, NULL)) != LS_OK)
        return failed("ls_save", code);
    if ((code = begin()) != LS_OK) /* as after a restart: weights as exported */
        return failed("ls_init", code);
    flash[20] ^= 1u; /* a bit of the memory dies: what it holds is refused */
    if (ls_load(&net, from_flash, NULL) != LS_BAD_BLOB || right() != before)
        return failed("a damaged blob", LS_OK);
    flash[20] ^= 1u;
    if ((code = ls_load(&net, from_flash, NULL)) != LS_OK)
        return failed("ls_load", code);
    again = right();
    printf("stream: right of %u: %u before, %u after learning, %u after loading; %lu bytes saved\n",
           SAMPLES, before, after, again, (unsigned long)flash_bytes);
    return again == after ? 0 : 1;
}
