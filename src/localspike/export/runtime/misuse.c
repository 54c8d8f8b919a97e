/* What must be refused, and must leave the network as it was: exit code 0 or 1.
 *
 * Saved weights that are truncated, damaged at any byte, of another model or version; events and
 * labels that are not there; calls out of order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ls_model.h"
#include "vectors.h"

static uint32_t arena[(LS_ARENA_GATHER + 3u) / 4u], before[(LS_ARENA_GATHER + 3u) / 4u];
static ls_net net;
static ls_slot slots[LS_LAYERS];
static int bad;

typedef struct {
    uint8_t *data;
    size_t bytes, room;
    long fails_after; /* calls that succeed; -1: all */
} blob;

static int put(void *context, const void *data, size_t bytes)
{
    blob *b = context;
    if (b->fails_after >= 0 && b->fails_after-- == 0)
        return 1;
    if (b->bytes + bytes > b->room)
        return 1;
    memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
    return 0;
}

static int get(void *context, size_t offset, void *data, size_t bytes)
{
    blob *b = context;
    if (b->fails_after >= 0 && b->fails_after-- == 0)
        return 1;
    if (offset > b->bytes || bytes > b->bytes - offset)
        return 1;
    memcpy(data, b->data + offset, bytes);
    return 0;
}

static void expect(const char *what, int got, int expected)
{
    if (got == expected)
        return;
    printf("misuse: %s: got %d, expected %d\n", what, got, expected);
    bad = 1;
}

/* The whole arena is as it was. */
static void unharmed(const char *what)
{
    if (memcmp(arena, before, sizeof arena)) {
        printf("misuse: %s changed the network\n", what);
        bad = 1;
        memcpy(arena, before, sizeof arena);
    }
}

static void begin(uint32_t flags)
{
    memset(arena, 0, sizeof arena);
    expect("ls_init", ls_init(&net, &ls_model, slots, arena, sizeof arena, flags), LS_OK);
    ls_set_rate(&net, VECTOR_RATE);
}

static void learn_a_little(void)
{
    for (unsigned t = 0; t < VECTOR_LENGTH; t++) {
        ls_step(&net, vector_counts[t]);
        expect("ls_learn", ls_learn(&net, 0), LS_OK);
    }
}

static void check_arguments(void)
{
    uint32_t wrong = LS_INPUTS;
    begin(LS_INFER);
    memcpy(before, arena, sizeof arena);
    expect("flags", ls_init(&net, &ls_model, slots, arena, sizeof arena, 7u), LS_BAD_ARGUMENT);
    expect("no net", ls_init(NULL, &ls_model, slots, arena, sizeof arena, LS_INFER), LS_BAD_ARGUMENT);
    expect("no slots", ls_init(&net, &ls_model, NULL, arena, sizeof arena, LS_INFER), LS_BAD_ARGUMENT);
    expect("no arena", ls_init(&net, &ls_model, slots, NULL, sizeof arena, LS_INFER), LS_BAD_ARENA);
    expect("a small arena", ls_init(&net, &ls_model, slots, arena, 8u, LS_INFER), LS_BAD_ARENA);
    expect("an odd arena",
           ls_init(&net, &ls_model, slots, (char *)arena + 1, sizeof arena - 4u, LS_INFER), LS_BAD_ARENA);
    expect("no counts", ls_step(&net, NULL), LS_BAD_ARGUMENT);
    expect("an event", ls_step_events(&net, &wrong, 1u), LS_BAD_EVENT);
    expect("no events", ls_step_events(&net, NULL, 1u), LS_BAD_ARGUMENT);
    unharmed("a refused step");
    expect("learning off", ls_learn(&net, 0), LS_NOT_LEARNING);
    expect("nothing gathered", ls_update(&net, 0.0f), LS_NOT_LEARNING);
    begin(LS_LEARN);
    expect("no step yet", ls_learn(&net, 0), LS_NOT_LEARNING);
    expect("no events at all", ls_step_events(&net, NULL, 0u), LS_OK);
    memcpy(before, arena, sizeof arena);
    expect("a label", ls_learn(&net, (int)LS_CLASSES), LS_BAD_LABEL);
    expect("a negative label", ls_learn(&net, -1), LS_BAD_LABEL);
    unharmed("a refused label");
    expect("ls_learn", ls_learn(&net, 0), LS_OK);
    expect("twice", ls_learn(&net, 0), LS_NOT_LEARNING);
}

static void check_load(blob *saved)
{
    uint8_t *data = saved->data;
    size_t bytes = saved->bytes, step = bytes > 4000u ? bytes / 997u : 1u;
    memcpy(before, arena, sizeof arena);
    for (size_t n = 0; n < bytes; n += step) {
        saved->bytes = n;
        expect("a truncated blob", ls_load(&net, get, saved), LS_IO);
        unharmed("a truncated blob");
    }
    saved->bytes = bytes;
    for (size_t i = 0; i < bytes; i += i < 16u ? 1u : step) {
        int want = i < 4u ? LS_BAD_BLOB : i < 8u ? LS_OTHER_VERSION : i < 16u ? LS_OTHER_MODEL : LS_BAD_BLOB;
        data[i] ^= 0x10u;
        expect("a damaged blob", ls_load(&net, get, saved), want);
        unharmed("a damaged blob");
        data[i] ^= 0x10u;
    }
    expect("no reader", ls_load(&net, NULL, saved), LS_BAD_ARGUMENT);
    saved->fails_after = 1;
    expect("a reader that fails", ls_load(&net, get, saved), LS_IO);
    unharmed("a reader that fails");
    saved->fails_after = -1;
}

static void check_store(void)
{
    size_t room = LS_ARENA_LEARN + 64u;
    blob saved = {malloc(room), 0, room, -1}, again = {malloc(room), 0, room, -1};
    if (!saved.data || !again.data)
        exit(1);
    begin(LS_LEARN);
    learn_a_little();
    expect("ls_save", ls_save(&net, put, &saved), LS_OK);
    begin(LS_LEARN); /* weights as exported */
    check_load(&saved);
    expect("ls_load", ls_load(&net, get, &saved), LS_OK);
    expect("ls_save", ls_save(&net, put, &again), LS_OK);
    expect("what was saved", again.bytes == saved.bytes && !memcmp(again.data, saved.data, saved.bytes), 1);
    again.bytes = 0;
    again.fails_after = 1;
    expect("a writer that fails", ls_save(&net, put, &again), LS_IO);
    begin(LS_INFER);
    expect("saving without learning", ls_save(&net, put, &saved), LS_NOT_LEARNING);
    expect("loading without learning", ls_load(&net, get, &saved), LS_NOT_LEARNING);
    free(saved.data);
    free(again.data);
}

int main(void)
{
    check_arguments();
    if (VECTOR_LEARNS)
        check_store();
    printf("misuse: %s\n", bad ? "FAILED" : "all refused");
    return bad;
}
