/* Weights of 16 or 8 bits: saturating states, stochastic rounding. See ls.h. */
#include "ls_inside.h"

#if LS_BITS != 32

/* A generator's next number (xorshift), which begins a row of them; those of a row are STRIDE apart,
 * evenly spread and each of them uniform. */
#define STRIDE 0x9e3779b9u
static uint32_t next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* x to a whole number, up as often as its fraction says; at most LS_MOST. */
static int32_t drawn(float x, uint32_t random)
{
    int32_t whole, part;
    if (!(x < (float)LS_MOST)) /* or not a number */
        return x >= (float)LS_MOST ? LS_MOST : 0;
    if (x <= (float)-LS_MOST)
        return -LS_MOST;
    whole = (int32_t)x;
    part = (int32_t)((x - (float)whole) * 16777216.0f);
    if (part > 0 && (int32_t)(random >> 8) < part)
        whole++;
    if (part < 0 && (int32_t)(random >> 8) < -part)
        whole--;
    return whole;
}

static ls_weight moved(ls_weight weight, int32_t by)
{
    const int32_t most = LS_BITS == 16 ? 32767 : 127;
    int32_t x = weight + by;
    return (ls_weight)(x > most ? most : x < -most ? -most : x);
}

void ls_leak(const ls_layer *l, const ls_slot *s)
{
    if (l->psi) {
        for (uint32_t i = 0; i < l->neurons; i++)
            s->v[i] = (ls_state)decayed(s, s->v[i], l->fixed.decay);
    } else {
        float *v = (float *)(void *)s->v;
        for (uint32_t i = 0; i < l->neurons; i++)
            v[i] *= l->decay;
    }
}

void ls_send(const ls_layer *l, const ls_slot *s, int kind, size_t at, const ls_weight *weight,
             ls_value value, unsigned n)
{
    const ls_scale *scale = l->fixed.scale + kind;
    if (l->psi) {
        ls_state *v = s->v + at;
        int32_t k = saturated((int32_t)value * scale->gain), shift = scale->shift;
        int32_t half = (1 << shift) >> 1;
        /* To the nearest; moved up by LS_HIGH, for shifting what is negative is not defined. The sum
         * fits: |k| is at most 255 * 127 where half is not 0. */
        for (; n--; v++)
            *v = (ls_state)saturated(*v + ((k * *weight++ + half + LS_HIGH) >> shift)
                                     - (LS_HIGH >> shift));
    } else {
        float *v = (float *)(void *)s->v + at, k = (float)value * scale->unit;
        while (n--)
            *v++ += k * (float)*weight++;
    }
}

void ls_draw_row(ls_word *row, uint32_t *seed, float factor, unsigned n)
{
    for (uint32_t random = next(seed); n--; random += STRIDE, row++)
        row->i = drawn(row->f * factor, random);
}

void ls_teach(const ls_lesson *t, size_t at, int32_t k, unsigned n)
{
    const ls_word *row = t->row;
    if (t->gathered) {
        ls_add_row(t->gathered + at, &row->f, t->factor * (float)k, n);
        return;
    }
    /* Unsigned, moved up by half the range: shifting rounds down what is negative too. */
    ls_weight *weight = t->weight + at;
    const int32_t shift = t->shift, back = 1 << (31 - shift);
    for (uint32_t random = next(t->seed); n--; random += STRIDE, weight++) {
        uint32_t product = (uint32_t)(k * row++->i) + (random >> (32 - shift)) + 0x80000000u;
        *weight = moved(*weight, (int32_t)(product >> shift) - back);
    }
}

void ls_teach_bias(const ls_lesson *t, const ls_layer *l, const ls_slot *s)
{
    uint32_t at = l->learnt - l->shape.out_c, random;
    float by = t->factor * s->bias_pre;
    const ls_word *row = t->row;
    if (t->gathered) {
        ls_add_row(t->gathered + at, &row->f, by, l->shape.out_c);
        return;
    }
    by *= l->fixed.scale[LS_BIAS].steps;
    random = next(t->seed);
    for (; at < l->learnt; at++, random += STRIDE)
        s->weight[at] = moved(s->weight[at], drawn(row++->f * by, random));
}

void ls_settle(ls_net *net, const ls_layer *l, const ls_slot *s, float rate)
{
    uint32_t bias = l->biased ? l->learnt - l->shape.out_c : l->learnt;
    uint32_t random = next(&net->seed);
    for (uint32_t i = 0; i < l->learnt; i++, random += STRIDE) {
        int kind = i < l->weights ? LS_INPUT : i < bias ? LS_LOOP : LS_BIAS;
        float by = -rate * l->fixed.scale[kind].steps;
        s->weight[i] = moved(s->weight[i], drawn(s->gathered[i] * by, random));
    }
}

#endif
