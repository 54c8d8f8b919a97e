/* What the runtime's own files share; not for users of ls.h. */
#ifndef LS_INSIDE_H
#define LS_INSIDE_H

#include "ls.h"

#if defined(__FAST_MATH__)
#error "localspike needs IEEE arithmetic in the order it is written: build without -ffast-math"
#endif

static inline uint32_t inputs(const ls_shape *s) { return (uint32_t)s->in_h * s->in_w * s->in_c; }
static inline uint32_t neurons(const ls_shape *s) { return (uint32_t)s->out_h * s->out_w * s->out_c; }
static inline uint32_t bits(uint32_t n) { return (n + 7u) / 8u; }

static inline uint32_t weights(const ls_shape *s)
{
    return (uint32_t)s->kernel * s->kernel * s->in_c * s->out_c;
}

static inline uint32_t outputs(const ls_layer *l)
{
    uint32_t side = l->pool ? l->pooled : 1u;
    return (l->shape.out_h / side) * (l->shape.out_w / side) * l->shape.out_c;
}

/* Numbers a layer learns: weights, recurrent weights, biases. */
static inline uint32_t learnt(const ls_layer *l)
{
    return weights(&l->shape) + (l->loop ? weights(l->loop) : 0u) + (l->bias ? l->shape.out_c : 0u);
}

static inline unsigned bit(const uint8_t *data, uint32_t i)
{
    return ((unsigned)data[i >> 3] >> (i & 7u)) & 1u;
}

/* How often input i has an event. */
static inline unsigned count(const uint8_t *data, int counts, uint32_t i)
{
    return counts ? data[i] : bit(data, i);
}

static inline void clear(void *data, size_t bytes)
{
    uint8_t *to = data;
    while (bytes--)
        *to++ = 0;
}

static inline void add_row(float *to, const float *from, float factor, unsigned n)
{
    for (unsigned c = 0; c < n; c++)
        to[c] += factor * from[c];
}

/* Where an output's signal, and its spikes, belong among the latents. */
static inline uint32_t latent_of(const ls_layer *l, uint32_t y, uint32_t x, uint32_t c)
{
    if (!l->side)
        return (y * (l->shape.out_w / (l->pool ? l->pooled : 1u)) + x) * l->shape.out_c + c;
    return (c * l->side + y / l->window) * l->side + x / l->window;
}

/* Mean spikes of this step behind every latent. */
static inline void read_latents(const ls_layer *l, const ls_slot *s, float *latent)
{
    uint32_t side = l->pool ? l->pooled : 1u, i = 0;
    clear(latent, l->latents * sizeof(float));
    for (uint32_t y = 0; y < l->shape.out_h / side; y++)
        for (uint32_t x = 0; x < l->shape.out_w / side; x++)
            for (uint32_t c = 0; c < l->shape.out_c; c++, i++)
                latent[latent_of(l, y, x, c)] += (float)count(s->out, l->counts, i);
    for (i = 0; i < l->latents; i++)
        latent[i] *= l->latent_unit;
}

#endif
