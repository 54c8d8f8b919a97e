/* Random calls with everything that can be wrong about them: exit code 0 or 1.
 *
 *   fuzz CALLS SECONDS SEED       ends after CALLS calls (0: any number) or SECONDS (0: any time)
 *
 * What a call must return is worked out beforehand. A call that is refused leaves arena, slots and
 * net as they were; no call writes beside the arena; the prediction is a class; layers that do not
 * learn keep their weights. Build it with sanitizers (make fuzz): much of what may go wrong shows
 * only there. The same SEED makes the same calls.
 */
#include <time.h>

#include "fuzz_check.h"

/* ---- calls ------------------------------------------------------------------------------------- */

static void init(void)
{
    static const uint32_t flags[] = {LS_INFER, LS_LEARN, LS_LEARN | LS_GATHER};
    static ls_config other;
    uint32_t asked = flags[draw(3)];
    size_t bytes = ls_arena_bytes(&ls_model, asked);
    int wrong = (int)draw(12), expected = wrong < 6 ? LS_BAD_ARGUMENT : LS_OK;
    other = ls_model;
    other.version++;
    if (wrong < 3)
        asked = 2u + (draw(2) ? 2u + draw(1u << 30) : 0u);
    if (wrong == 6 || wrong == 7)
        expected = LS_BAD_ARENA;
    if (wrong == 8)
        expected = LS_BAD_MODEL;
    if (expected == LS_OK) {
        fence(0);
        net.flags = asked; /* where the fence is from now on */
        memset(arena, (int)draw(256), bytes);
        fence(1);
    }
    judge(INIT,
          ls_init(wrong == 3 ? NULL : &net, wrong == 4 ? NULL : wrong == 8 ? &other : &ls_model,
                  wrong == 5 ? NULL : slots, wrong == 6 ? arena + 1u + draw(3) : arena,
                  wrong == 7 ? draw((uint32_t)bytes) : bytes + draw(9), asked),
          expected);
    for (unsigned i = 0; expected == LS_OK && i < LS_LAYERS; i++)
        if (memcmp(slots[i].weight, ls_model.layer[i].weight,
                   ls_model.layer[i].learnt * sizeof(ls_weight)))
            fail("weights that are not as exported");
}

static void step(void)
{
    static uint8_t counts[LS_INPUTS];
    uint32_t of = 1u + draw(20), most = one_in(8) ? 255u : 1u + draw(3);
    for (unsigned i = 0; i < LS_INPUTS; i++)
        counts[i] = (uint8_t)(one_in(of) ? one_in(9) ? most : draw(most + 1u) : 0u);
    if (one_in(30))
        judge(STEP, ls_step(one_in(2) ? NULL : &net, NULL), LS_BAD_ARGUMENT);
    else
        judge(STEP, ls_step(&net, counts), LS_OK);
}

static void events(void)
{
    static uint32_t index[MOST_EVENTS];
    uint32_t n = one_in(6) ? 0u : 1u + draw(MOST_EVENTS), twin = draw(LS_INPUTS);
    int duplicate = one_in(4), expected = LS_OK;
    for (uint32_t i = 0; i < n; i++)
        index[i] = duplicate ? twin : draw(LS_INPUTS);
    if (n && one_in(4)) {
        index[draw(n)] = one_in(2) ? LS_INPUTS : LS_INPUTS + draw(0xffffffffu - LS_INPUTS);
        expected = LS_BAD_EVENT;
    }
    if (one_in(30))
        judge(EVENTS, ls_step_events(&net, NULL, 1u + draw(9)), LS_BAD_ARGUMENT);
    else
        judge(EVENTS, ls_step_events(&net, n || one_in(2) ? index : NULL, n), expected);
}

static void learn(void)
{
    static const int wrong[] = {-1, (int)LS_CLASSES, 0x7fffffff, -0x7fffffff - 1};
    int bad = one_in(8), label = bad ? wrong[draw(4)] : (int)draw(LS_CLASSES);
    int expected = bad ? LS_BAD_LABEL : LS_OK;
    if (!(net.flags & LS_LEARN) || !net.fresh)
        expected = LS_NOT_LEARNING;
    if (one_in(50))
        judge(LEARN, ls_learn(NULL, label), LS_BAD_ARGUMENT);
    else
        judge(LEARN, ls_learn(&net, label), expected);
}

/* Zero, tiny, huge, negative, infinite, or not a number, one in four times; else as usual. */
static float number(float usual)
{
    static const uint32_t odd[] = {0u, 1u, 0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u,
                                   0x7fc00000u, 0x80000000u, 0x00800000u, 0xbf800000u, 0x4b000000u};
    ls_word x;
    x.f = usual;
    if (one_in(4))
        x.u = odd[draw(sizeof odd / sizeof *odd)];
    return x.f;
}

static void update(void)
{
    int expected = net.flags & LS_GATHER ? LS_OK : LS_NOT_LEARNING;
    if (one_in(50))
        judge(UPDATE, ls_update(NULL, 0.0f), LS_BAD_ARGUMENT);
    else
        judge(UPDATE, ls_update(&net, number(0.5f)), expected);
}

static void others(void)
{
    uint32_t layers = draw(8);
    switch (draw(4)) {
    case 0: ls_set_trainable(&net, layers < 3 ? layers : 0xffffffffu >> layers); break;
    case 1: ls_set_seed(&net, draw(3) ? draw(0xffffffffu) : 0u); break;
    default: ls_reset(&net);
    }
    judge(OTHER, ls_logits(&net) == net.logits ? LS_OK : LS_BAD_MODEL, LS_OK);
}

/* ---- saving and loading ------------------------------------------------------------------------ */

typedef struct {
    size_t bytes, furthest;
    long fails_at; /* call that fails; -1: none */
    int later;     /* asked a second time, a bit is another */
    int again;     /* it was asked for something a second time */
} tape;

static int put(void *context, const void *data, size_t bytes)
{
    tape *t = context;
    if (t->fails_at >= 0 && t->fails_at-- == 0)
        return 1;
    if (bytes > BLOB - t->bytes)
        fail("more saved than there is");
    memcpy(blob + t->bytes, data, bytes);
    t->bytes += bytes;
    return 0;
}

static int get(void *context, size_t offset, void *data, size_t bytes)
{
    tape *t = context;
    t->again |= offset < t->furthest;
    if (t->fails_at >= 0 && t->fails_at-- == 0)
        return 1;
    if (offset > t->bytes || bytes > t->bytes - offset)
        return 1;
    t->furthest = offset + bytes > t->furthest ? offset + bytes : t->furthest;
    memcpy(data, blob + offset, bytes);
    if (t->later && t->again)
        ((uint8_t *)data)[draw((uint32_t)bytes)] ^= (uint8_t)(1u << draw(8));
    return 0;
}

static void save(void)
{
    tape t = {0, 0, -1, 0, 0};
    int expected = net.flags & LS_LEARN ? LS_OK : LS_NOT_LEARNING;
    if (one_in(4) && expected == LS_OK) {
        t.fails_at = (long)draw(2);
        expected = LS_IO;
    }
    if (one_in(20)) {
        judge(SAVE, ls_save(&net, NULL, &t), LS_BAD_ARGUMENT);
        return;
    }
    judge(SAVE, ls_save(&net, put, &t), expected);
    if (!same())
        fail("saving changed something");
    if (expected == LS_OK) {
        saved_bytes = t.bytes;
        memcpy(saved, blob, t.bytes);
    }
}

static void repair(size_t bytes)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes - 4u; i++) {
        crc ^= blob[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0u);
    }
    crc = ~crc;
    memcpy(blob + bytes - 4u, &crc, sizeof crc);
}

/* Some numbers of a blob become odd ones: infinite, none at all, the largest, the least. */
static void spoil(size_t bytes)
{
    uint32_t body = (uint32_t)bytes - 20u;
    for (unsigned n = 1u + draw(8); body >= 4u && n--;) {
        float x = number(1e3f);
        uint32_t raw = draw(0xffffffffu);
        memcpy(blob + 16u + draw(body / 4u) * 4u, one_in(3) ? (void *)&raw : (void *)&x, 4u);
    }
}

/* Change what will be read; what loading it must say. */
static int mutate(tape *t)
{
    uint32_t at = one_in(3) ? draw(16) : draw((uint32_t)t->bytes), how = draw(8);
    int said = at < 4u ? LS_BAD_BLOB : at < 8u ? LS_OTHER_VERSION : LS_OTHER_MODEL;
    if (how == 0) {
        t->bytes = draw((uint32_t)t->bytes);
        return LS_IO;
    }
    if (how == 1) {
        t->fails_at = (long)draw(3);
        return LS_IO;
    }
    if (how == 2 && t->bytes > 20u) {
        t->later = 1;
        return LS_IO;
    }
    if (how == 3 || how == 4) {
        blob[at] ^= (uint8_t)(1u << draw(8));
        if (how == 4 && at < t->bytes - 4u)
            repair(t->bytes);
        return at < 16u ? said : how == 4 && at < t->bytes - 4u ? LS_OK : LS_BAD_BLOB;
    }
    if (how < 7) {
        spoil(t->bytes);
        repair(t->bytes);
    }
    return LS_OK;
}

/* What a layer had gathered is gone. */
static void forgotten(unsigned i)
{
    const uint8_t *gathered = (const uint8_t *)slots[i].gathered;
    for (size_t k = 0; gathered && k < ls_model.layer[i].learnt * sizeof(float); k++) {
        if (gathered[k])
            fail("loading keeps what was gathered");
        ((uint8_t *)before)[(size_t)(gathered - arena) + k] = 0;
    }
}

/* What was loaded is what was read, or was left as it was; nothing but weights has changed. */
static void check_loaded(int code, const tape *t)
{
    const uint8_t *from = blob + 16;
    if (code != LS_OK && !t->again && !same())
        fail("a refused load changed something");
    for (unsigned i = 0; i < LS_LAYERS; i++) {
        size_t bytes = slots[i].pre ? ls_model.layer[i].learnt * sizeof(ls_weight) : 0u;
        if (code == LS_OK && memcmp(from, slots[i].weight, bytes))
            fail("weights that are not what was read");
        from += bytes;
        if (bytes)
            memcpy((uint8_t *)before + ((uint8_t *)slots[i].weight - arena), slots[i].weight, bytes);
        if (t->again || code == LS_OK)
            forgotten(i);
    }
    if (!same())
        fail("loading changed more than weights");
}

static void load(void)
{
    tape t = {saved_bytes, 0, -1, 0, 0};
    int expected;
    if (!saved_bytes)
        return;
    memcpy(blob, saved, saved_bytes);
    expected = mutate(&t);
    if (!(net.flags & LS_LEARN))
        expected = LS_NOT_LEARNING;
    if (one_in(20)) {
        judge(LOAD, ls_load(&net, NULL, &t), LS_BAD_ARGUMENT);
        return;
    }
    judge(LOAD, ls_load(&net, get, &t), expected);
    if (expected != LS_NOT_LEARNING)
        check_loaded(expected, &t);
}

/* ------------------------------------------------------------------------------------------------ */

static void call(void)
{
    uint32_t what = draw(100);
    remember();
    fence(1);
    if (what < 2)
        init();
    else if (what < 30)
        step();
    else if (what < 50)
        events();
    else if (what < 80)
        learn();
    else if (what < 85)
        update();
    else if (what < 88)
        save();
    else if (what < 93)
        load();
    else if (what < 96) {
        ls_set_rate(&net, number(0.05f));
        judge(RATE, LS_OK, LS_OK);
    } else
        others();
    fence(0);
}

static void report(unsigned long calls)
{
    for (unsigned i = 0; i < CALLS; i++) {
        printf("  %-16s", call_name[i]);
        for (unsigned k = 0; k < CODES; k++)
            if (outcome[i][k])
                printf(" %s %lu", code_name[k], outcome[i][k]);
        printf("\n");
    }
    printf("fuzz: passed: %lu calls\n", calls);
}

int main(int argc, char **argv)
{
    unsigned long most = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000u, calls = 0;
    unsigned long seconds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0u;
    time_t began = time(NULL);
    random_state = (uint32_t)(argc > 3 ? strtoul(argv[3], NULL, 10) : 1u) * 2654435761u | 1u;
    if (!most && !seconds)
        fail("neither CALLS nor SECONDS");
    memset(block, GUARD, sizeof block);
    if (ls_init(&net, &ls_model, slots, arena, LS_ARENA_LEARN, LS_LEARN) != LS_OK)
        fail("ls_init");
    while ((!most || calls < most) && (!seconds || (unsigned long)(time(NULL) - began) < seconds)) {
        call();
        calls++;
    }
    report(calls);
    return 0;
}
