/* The arena and a time step. See ls.h. */
#include <string.h>

#include "ls_inside.h"

/* ---- the arena -------------------------------------------------------------------------------- */

static const ls_layout *layout_of(const ls_config *config, uint32_t flags)
{
    if (flags == LS_INFER || flags == LS_LEARN)
        return config->layout + flags;
    return flags == (LS_LEARN | LS_GATHER) ? config->layout + 2 : NULL;
}

size_t ls_arena_bytes(const ls_config *config, uint32_t flags)
{
    const ls_layout *layout = config ? layout_of(config, flags) : NULL;
    return layout ? layout->bytes : 0;
}

static void *at(uint8_t *arena, uint32_t offset)
{
    return offset == LS_NOWHERE ? NULL : arena + offset;
}

static void lay_out(const ls_layer *l, ls_slot *s, const uint32_t *place, uint8_t *arena)
{
    for (unsigned k = 0; k < LS_PARTS; k++) {
        void *there = at(arena, place[k]);
        /* The slot begins with as many pointers, in this order. */
        memcpy((uint8_t *)s + k * sizeof there, &there, sizeof there);
    }
    if (s->weight)
        for (uint32_t i = 0; i < l->learnt; i++)
            s->weight[i] = l->weight[i];
    else
        s->weight = (ls_weight *)(uintptr_t)l->weight;
}

int ls_init(ls_net *net, const ls_config *config, ls_slot *slots, void *arena, size_t bytes,
            uint32_t flags)
{
    const ls_layout *layout = config ? layout_of(config, flags) : NULL;
    if (!net || !layout || !slots)
        return LS_BAD_ARGUMENT;
    if (config->version != LS_VERSION)
        return LS_BAD_MODEL;
    if (!arena || ((uintptr_t)arena & 3u) || bytes < layout->bytes)
        return LS_BAD_ARENA;
    clear(net, sizeof *net);
    clear(arena, layout->bytes);
    net->config = config;
    net->slot = slots;
    net->flags = flags;
    net->arena = arena;
    net->state = layout->state;
#if LS_BITS != 32
    ls_set_seed(net, 1u);
#endif
    net->logits = at(arena, layout->logits);
    net->scratch = at(arena, layout->scratch);
    if (flags) /* a net that only infers has no scratch */
        net->row = (ls_word *)(void *)(net->scratch + config->row);
    for (unsigned i = 0; i < config->layers; i++) {
        lay_out(config->layer + i, slots + i, layout->place[i], arena);
        if (slots[i].pre)
            net->trainable |= 1u << i;
    }
    ls_reset(net);
    return LS_OK;
}

void ls_reset(ls_net *net)
{
    clear(net->arena, net->state);
    for (unsigned i = 0; i < net->config->layers; i++)
        net->slot[i].bias_pre = 0.0f;
    net->steps = 0;
    net->fresh = 0;
}

/* ---- a step ----------------------------------------------------------------------------------- */

void ls_add_row(float *to, const float *from, float factor, unsigned n)
{
#ifndef __OPTIMIZE_SIZE__
    for (; n >= 8u; n -= 8u, to += 8, from += 8) {
        to[0] += factor * from[0];
        to[1] += factor * from[1];
        to[2] += factor * from[2];
        to[3] += factor * from[3];
        to[4] += factor * from[4];
        to[5] += factor * from[5];
        to[6] += factor * from[6];
        to[7] += factor * from[7];
    }
#endif
    while (n--)
        *to++ += factor * *from++;
}

static void linear_receive(const ls_layer *l, const ls_slot *s, ls_events x)
{
    const ls_weight *weight = s->weight;
    for (uint32_t i = 0; i < l->inputs; i++, weight += l->neurons) {
        ls_value value = arrives(l, count(x, i));
        if (s->pre)
            s->pre[i] = traced(l, s, LS_INPUT, s->pre[i], value);
        if (value != 0)
            send(l, s, LS_INPUT, 0, weight, value, l->neurons);
    }
}

static void leak(const ls_layer *l, ls_slot *s)
{
    unsigned row = l->shape.out_c;
    s->bias_pre = l->bias_decay * s->bias_pre + 1.0f;
#if LS_BITS == 32
    for (uint32_t i = 0; i < l->neurons; i++)
        s->v[i] *= l->decay;
#else
    ls_leak(l, s);
#endif
    for (uint32_t i = 0; l->biased && i < l->neurons; i += row)
        send(l, s, LS_BIAS, i, s->weight + l->learnt - row, 1, row);
}

static void fire(const ls_layer *l, const ls_slot *s)
{
    clear(s->spikes, (l->neurons + 7u) / 8u);
    for (uint32_t i = 0; i < l->neurons; i++)
        if (s->v[i] > threshold(l)) {
            set_bit(s->spikes, i);
            s->v[i] = (ls_state)(s->v[i] - reset(l));
        }
}

static void part(ls_part what, ls_net *net, const ls_layer *l, ls_slot *s)
{
    if (what)
        what(net, l, s);
}

static int run(ls_net *net)
{
    const ls_layer *l = net->config->layer;
    ls_slot *s = net->slot;
    ls_events x = {net->arena, 1};
    for (unsigned i = 0; i < net->config->layers; i++, l++, s++) {
        begin(s, net->steps);
        if (s->pre)
            part(l->before, net, l, s);
        leak(l, s);
        l->synapse->receive(l, s, x);
        part(l->recur, net, l, s);
        if (!l->psi)
            break;
        fire(l, s);
        part(l->pool, net, l, s);
        if (s->pre)
            part(l->after, net, l, s);
        x.data = s->out;
        x.counts = l->counts;
    }
    for (unsigned c = 0; c < net->config->classes; c++)
        net->logits[c] += readout(s)[c];
    net->steps++;
    net->fresh = 1;
    return LS_OK;
}

int ls_step(ls_net *net, const uint8_t *counts)
{
    if (!net || !counts)
        return LS_BAD_ARGUMENT;
    for (uint32_t i = 0; i < net->config->inputs; i++)
        net->arena[i] = counts[i];
    return run(net);
}

int ls_step_events(ls_net *net, const uint32_t *index, size_t n)
{
    if (!net || (n && !index))
        return LS_BAD_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (index[i] >= net->config->inputs)
            return LS_BAD_EVENT;
    clear(net->arena, net->config->inputs);
    for (size_t i = 0; i < n; i++)
        if (net->arena[index[i]] < 255u)
            net->arena[index[i]]++;
    return run(net);
}

int ls_best(const float *z, int n)
{
    int best = 0;
    for (int c = 1; c < n; c++)
        if (z[c] > z[best])
            best = c;
    return best;
}

int ls_predict(const ls_net *net) { return ls_best(net->logits, net->config->classes); }

const float *ls_logits(const ls_net *net) { return net->logits; }
void ls_set_rate(ls_net *net, float rate) { net->rate = rate; }
/* Spread: the first numbers that the generator makes of small ones are small. */
void ls_set_seed(ls_net *net, uint32_t seed) { net->seed = (seed ? seed : 1u) * 0x9e3779b9u; }
void ls_set_trainable(ls_net *net, uint32_t layers) { net->trainable = layers; }

static void linear_change(const ls_shape *s, const ls_lesson *t, unsigned y, unsigned x,
                          const ls_state *pre, ls_events events)
{
    size_t at = 0;
    (void)y, (void)x;
    for (uint32_t i = 0; i < s->in_c; i++, at += s->out_c) {
        ls_factor k = pre ? pre[i] : events_factor(t, count(events, i));
        if (k != 0)
            teach(t, at, k, s->out_c);
    }
}

const ls_synapse ls_linear = {linear_receive, linear_change};
