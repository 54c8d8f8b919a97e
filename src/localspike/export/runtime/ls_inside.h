/* What the runtime's own files share; not for users of ls.h. */
#ifndef LS_INSIDE_H
#define LS_INSIDE_H

#include <float.h>

#include "ls.h"

#if defined(__FAST_MATH__)
#error "localspike needs IEEE arithmetic in the order it is written: build without -ffast-math"
#endif
#if FLT_EVAL_METHOD != 0
#error "localspike needs floats that are rounded at every operation: build without -mfpmath=387"
#endif
/* Nor may a product and a sum be rounded as one: -ffp-contract=off, which gcc takes on its command
 * line only (in -std=gnu modes it would fuse them where the machine can). */
#if !defined(__GNUC__) || defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

static inline unsigned bit(const uint8_t *data, uint32_t i)
{
    return ((unsigned)data[i >> 3] >> (i & 7u)) & 1u;
}

static inline void set_bit(uint8_t *data, uint32_t i)
{
    data[i >> 3] |= (uint8_t)(1u << (i & 7u));
}

/* How often input i has an event. */
static inline unsigned count(ls_events x, uint32_t i)
{
    return x.counts ? x.data[i] : bit(x.data, i);
}

static inline void clear(void *data, size_t bytes)
{
    uint8_t *to = data;
    while (bytes--)
        *to++ = 0;
}

/* to += factor from: where the time goes, so eight at a time unless built for size. */
void ls_add_row(float *to, const float *from, float factor, unsigned n);

/* The first of the largest numbers. */
int ls_best(const float *z, int n);

#if LS_BITS == 32

typedef float ls_value; /* what arrives from an input */
#define LS_FADED 6.103515625e-5f /* 2^-14 */

static inline void begin(ls_slot *s, uint32_t step) { (void)s, (void)step; }
static inline ls_value arrives(const ls_layer *l, unsigned n) { return l->unit * (float)n; }

/* A trace one step on. What has faded to nothing ends: weights are not walked through for it. */
static inline float traced(const ls_layer *l, const ls_slot *s, int kind, float trace,
                           ls_value value)
{
    (void)s, (void)kind;
    trace = l->pre_decay * trace + value;
    return trace < LS_FADED ? 0.0f : trace;
}

static inline void send(const ls_layer *l, const ls_slot *s, int kind, size_t at,
                        const ls_weight *weight, ls_value value, unsigned n)
{
    (void)l, (void)kind;
    ls_add_row(s->v + at, weight, value, n);
}

static inline float threshold(const ls_layer *l) { return l->threshold; }
static inline float reset(const ls_layer *l) { return l->reset; }
static inline const float *readout(const ls_slot *s) { return s->v; }
static inline float state_unit(const ls_layer *l) { return (void)l, 1.0f; }
static inline float post_value(const ls_layer *l, float trace) { return (void)l, trace; }

static inline float post_traced(const ls_layer *l, const ls_slot *s, float trace, float psi)
{
    (void)s;
    return l->post_decay * trace + psi;
}

typedef float ls_factor; /* of an input in what is learnt */
static inline float events_unit(const ls_layer *l) { return l->unit; }
static inline float events_factor(const ls_lesson *t, unsigned n) { return (void)t, (float)n; }

static inline void teach(const ls_lesson *t, size_t at, ls_factor k, unsigned n)
{
    ls_add_row(t->weight + at, &t->row->f, t->factor * k, n);
}

#else

typedef unsigned ls_value;
#define LS_SCALE 32768 /* what decays are parts of */
#define LS_MOST 32767

static inline int32_t saturated(int32_t x)
{
    return x > LS_MOST ? LS_MOST : x < -LS_MOST ? -LS_MOST : x;
}

/* Steps of the golden ratio: however few follow one another, they are spread evenly. */
static inline void begin(ls_slot *s, uint32_t step) { s->round = step * 20251u % LS_SCALE; }
static inline ls_value arrives(const ls_layer *l, unsigned n) { return (void)l, n; }

/* Added where a number may be negative before it is shifted, which is not defined for such. */
#define LS_HIGH 0x40000000

/* What is left of x. Every step rounds at another place, so that over time little is lost; to one
 * side, what fades would end early or not at all. */
static inline int32_t decayed(const ls_slot *s, int32_t x, int32_t decay)
{
    return (int32_t)(((uint32_t)(x * decay) + LS_HIGH + s->round) / LS_SCALE)
           - LS_HIGH / LS_SCALE;
}

static inline ls_state traced(const ls_layer *l, const ls_slot *s, int kind, ls_state trace,
                              ls_value n)
{
    int32_t one = kind == LS_LOOP ? l->fixed.loop_one : l->fixed.one;
    return (ls_state)saturated(decayed(s, trace, l->fixed.pre_decay) + (int32_t)n * one);
}

void ls_send(const ls_layer *l, const ls_slot *s, int kind, size_t at, const ls_weight *weight,
             ls_value value, unsigned n);
static inline void send(const ls_layer *l, const ls_slot *s, int kind, size_t at,
                        const ls_weight *weight, ls_value value, unsigned n)
{
    ls_send(l, s, kind, at, weight, value, n);
}

static inline int32_t threshold(const ls_layer *l) { return l->fixed.threshold; }
static inline int32_t reset(const ls_layer *l) { return l->fixed.reset; }
static inline const float *readout(const ls_slot *s) { return (const float *)(const void *)s->v; }
static inline float state_unit(const ls_layer *l) { return l->fixed.state_unit; }
static inline float post_value(const ls_layer *l, ls_state trace)
{
    return (float)trace * l->fixed.post_unit;
}

static inline ls_state post_traced(const ls_layer *l, const ls_slot *s, ls_state trace, float psi)
{
    int32_t kept = decayed(s, trace, l->fixed.post_decay);
    float added = psi * l->fixed.post_steps;
    return (ls_state)saturated(kept + (added < (float)LS_MOST ? (int32_t)added : LS_MOST));
}

typedef int32_t ls_factor;
static inline float events_unit(const ls_layer *l) { return (void)l, 1.0f; }
static inline int32_t events_factor(const ls_lesson *t, unsigned n)
{
    return saturated((int32_t)n * t->one);
}

void ls_teach(const ls_lesson *t, size_t at, int32_t k, unsigned n);
static inline void teach(const ls_lesson *t, size_t at, ls_factor k, unsigned n)
{
    ls_teach(t, at, k, n);
}

/* Membranes one step on; what the biases learn; post factors to integers; weights from what was
 * gathered. */
void ls_leak(const ls_layer *l, const ls_slot *s);
void ls_teach_bias(const ls_lesson *t, const ls_layer *l, const ls_slot *s);
void ls_draw_row(ls_word *row, uint32_t *seed, float factor, unsigned n);
void ls_settle(ls_net *net, const ls_layer *l, const ls_slot *s, float rate);

#endif

/* Nothing is gathered any more. */
void ls_forget(ls_net *net);

/* How far u[t], which only v[t] and the spike are kept of, is above the threshold. */
static inline float distance(const ls_layer *l, const ls_slot *s, uint32_t i)
{
    return state_unit(l) * (float)(s->v[i] + (bit(s->spikes, i) ? reset(l) : 0) - threshold(l));
}

/* Post factors of the neurons at one position: m, times psi or the post trace; whether any is. */
int ls_post_row(const ls_layer *l, const ls_slot *s, const float *m, unsigned y, unsigned x,
                const ls_state *trace, ls_word *row);

/* Where a kind of weights learns from the row, by the step size alone. */
static inline ls_lesson lesson_of(ls_net *net, const ls_layer *l, const ls_slot *s, int kind)
{
    ls_lesson t;
    size_t at = kind == LS_LOOP ? l->weights : 0u;
    t.row = net->row;
    t.factor = s->gathered ? 1.0f : -(net->rate * l->rate);
#if LS_BITS == 32
    t.weight = (s->gathered ? s->gathered : s->weight) + at;
#else
    t.weight = s->weight + at;
    t.gathered = s->gathered ? s->gathered + at : NULL;
    t.one = (int16_t)(kind == LS_LOOP ? l->fixed.loop_one : l->fixed.one);
    t.shift = (int16_t)l->fixed.shift;
    t.seed = &net->seed;
#endif
    return t;
}

/* And by the traces' gain, which ends what the row is otherwise good for. */
static inline void by_gain(ls_lesson *t, const ls_layer *l, int kind, float gain)
{
    t->factor *= gain;
#if LS_BITS == 32
    (void)l, (void)kind;
#else
    t->factor *= l->fixed.trace_unit;
    if (!t->gathered)
        ls_draw_row(t->row, t->seed,
                    t->factor * l->fixed.scale[kind].steps * (float)(1 << t->shift),
                    l->shape.out_c);
#endif
}

/* The latent of channel 0 of the output at (y, x), and how far apart those of its channels are. */
static inline uint32_t latent_of(const ls_layer *l, uint32_t y, uint32_t x)
{
    if (!l->side)
        return (y * (l->shape.out_w / l->pooled) + x) * l->shape.out_c;
    return y / l->window * l->side + x / l->window;
}

static inline uint32_t latent_stride(const ls_layer *l)
{
    return l->side ? (uint32_t)l->side * l->side : 1u;
}

#endif
