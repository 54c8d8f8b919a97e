/* What fuzz.c knows of the network it calls, and what must hold after every call. */
#ifndef FUZZ_CHECK_H
#define FUZZ_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ls_model.h"

#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FENCE(at, n) __asan_poison_memory_region(at, n)
#define OPEN(at, n) __asan_unpoison_memory_region(at, n)
#else
#define FENCE(at, n) ((void)(at), (void)(n))
#define OPEN(at, n) ((void)(at), (void)(n))
#endif

#define CANARY 64u
#define GUARD 0xa5
#define BLOB (16u + LS_ARENA_LEARN + 4u)
#define MOST_EVENTS 64u

enum { INIT, STEP, EVENTS, LEARN, UPDATE, SAVE, LOAD, RATE, OTHER, CALLS };
static const char *const call_name[CALLS] = {
    "ls_init", "ls_step", "ls_step_events", "ls_learn", "ls_update", "ls_save", "ls_load",
    "ls_set_rate", "ls_reset, others",
};
static const char *const code_name[] = {
    "OK", "BAD_ARGUMENT", "BAD_ARENA", "BAD_EVENT", "BAD_LABEL", "NOT_LEARNING", "BAD_BLOB",
    "OTHER_VERSION", "OTHER_MODEL", "IO", "BAD_MODEL",
};
#define CODES (sizeof code_name / sizeof *code_name)

static uint32_t block[(LS_ARENA_GATHER + 2u * CANARY) / 4u], before[LS_ARENA_GATHER / 4u];
static uint8_t *const arena = (uint8_t *)block + CANARY;
static ls_net net, net_before;
static ls_slot slots[LS_LAYERS], slots_before[LS_LAYERS];
static unsigned long outcome[CALLS][CODES];
static uint32_t random_state;
static uint8_t saved[BLOB], blob[BLOB];
static size_t saved_bytes;

static uint32_t draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

static int one_in(uint32_t n) { return draw(n) == 0; }

static void fail(const char *what)
{
    printf("fuzz: FAILED: %s\n", what);
    exit(1);
}

static size_t bytes_now(void) { return ls_arena_bytes(&ls_model, net.flags); }

/* The arena as large as it may be used: what is beside it is fenced off. */
static void fence(int closed)
{
    uint8_t *end = arena + bytes_now();
    size_t rest = (size_t)((uint8_t *)block + sizeof block - end);
    if (closed) {
        memset(block, GUARD, CANARY);
        memset(end, GUARD, rest);
        FENCE(block, CANARY);
        FENCE(end, rest);
        return;
    }
    OPEN(block, sizeof block);
    for (size_t i = 0; i < CANARY; i++)
        if (((uint8_t *)block)[i] != GUARD)
            fail("a write before the arena");
    for (size_t i = 0; i < rest; i++)
        if (end[i] != GUARD)
            fail("a write behind the arena");
}

static void remember(void)
{
    memcpy(before, arena, bytes_now());
    net_before = net;
    memcpy(slots_before, slots, sizeof slots);
}

static int same(void)
{
    return !memcmp(before, arena, bytes_now()) && !memcmp(&net_before, &net, sizeof net)
        && !memcmp(slots_before, slots, sizeof slots);
}

/* The weights of layer i lie where they lay, with what they were. */
static int same_weights(unsigned i)
{
    size_t at = (size_t)((uint8_t *)slots[i].weight - arena);
    return !slots[i].pre
        || !memcmp((uint8_t *)before + at, slots[i].weight,
                   ls_model.layer[i].learnt * sizeof(ls_weight));
}

static void judge(int call, int got, int expected)
{
    if (got > 0 || got <= -(int)CODES)
        fail("a code that is not documented");
    outcome[call][-got]++;
    if (got != expected) {
        printf("fuzz: %s: got %s, expected %s\n", call_name[call], code_name[-got],
               code_name[-expected]);
        fail(call_name[call]);
    }
    if (got < 0 && !same() && call != LOAD)
        fail("a refused call changed something");
    if (ls_predict(&net) < 0 || ls_predict(&net) >= (int)LS_CLASSES)
        fail("a prediction that is no class");
    for (unsigned i = 0; i < LS_LAYERS; i++)
        if (call != INIT && call != LOAD
            && (call != (net.flags & LS_GATHER ? UPDATE : LEARN) || !(net.trainable >> i & 1u))
            && !same_weights(i))
            fail("weights that were not to be learnt changed");
}

#endif
