/* What the runtime's own files share; not for users of ls.h. */
#ifndef LS_INSIDE_H
#define LS_INSIDE_H

#include "ls.h"

#if defined(__FAST_MATH__)
#error "localspike needs IEEE arithmetic in the order it is written: build without -ffast-math"
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

/* A trace one step on. What has faded to nothing ends: weights are not walked through for it. */
#define LS_FADED 6.103515625e-5f /* 2^-14 */
static inline float faded(float trace, float decay, float value)
{
    trace = decay * trace + value;
    return trace < LS_FADED ? 0.0f : trace;
}

/* u[t], which only v[t] and the spike are kept of. */
static inline float membrane(const ls_layer *l, const ls_slot *s, uint32_t i)
{
    return s->v[i] + (bit(s->spikes, i) ? l->reset : 0.0f);
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
