/* The arena and a time step. See ls.h. */
#include "ls_inside.h"

#define ALIGNED(n) (((n) + 3u) & ~(size_t)3u)

/* ---- the arena -------------------------------------------------------------------------------- */

/* The next part of an arena, or null when only its size is asked for. */
static void *take(uint8_t *arena, size_t *at, size_t bytes)
{
    void *part = arena ? arena + *at : NULL;
    *at += ALIGNED(bytes);
    return part;
}

static void lay_out_learning(const ls_layer *l, ls_slot *s, uint8_t *arena, size_t *at, uint32_t flags)
{
    s->weight = take(arena, at, learnt(l) * sizeof(ls_weight));
    s->pre = take(arena, at, inputs(&l->shape) * sizeof(ls_state));
    if (l->loop)
        s->loop_pre = take(arena, at, inputs(l->loop) * sizeof(ls_state));
    if (l->post_gain != 0.0f && l->psi) {
        s->post = take(arena, at, neurons(&l->shape) * sizeof(ls_state));
        if (l->loop)
            s->past = take(arena, at, bits(neurons(&l->shape)));
    }
    if (l->latent_decay != 0.0f)
        s->latent = take(arena, at, l->latents * sizeof(float));
    if (flags & LS_GATHER)
        s->gathered = take(arena, at, learnt(l) * sizeof(float));
}

static size_t lay_out(ls_net *net, const ls_config *config, uint8_t *arena, uint32_t flags)
{
    size_t at = 0;
    net->input = take(arena, &at, config->inputs);
    net->logits = take(arena, &at, config->classes * sizeof(float));
    for (unsigned i = 0; i < config->layers; i++) {
        const ls_layer *l = &config->layer[i];
        ls_slot s = {0};
        s.v = take(arena, &at, neurons(&l->shape) * sizeof(ls_state));
        if (l->psi)
            s.out = s.spikes = take(arena, &at, bits(neurons(&l->shape)));
        if (l->pool)
            s.out = take(arena, &at, l->counts ? outputs(l) : bits(outputs(l)));
        if ((flags & LS_LEARN) && l->signal)
            lay_out_learning(l, &s, arena, &at, flags);
        if (arena)
            config->slot[i] = s;
    }
    if (flags & LS_LEARN)
        net->scratch = take(arena, &at, config->scratch * sizeof(float));
    return at;
}

static int allowed(uint32_t flags)
{
    return flags == LS_INFER || flags == LS_LEARN || flags == (LS_LEARN | LS_GATHER);
}

size_t ls_arena_bytes(const ls_config *config, uint32_t flags)
{
    ls_net none;
    return config && allowed(flags) ? lay_out(&none, config, NULL, flags) : 0;
}

static void copy(ls_weight *to, const ls_weight *from, uint32_t n)
{
    while (n--)
        *to++ = *from++;
}

/* Weights as exported: a copy to learn with, or where they are. */
static void place_weights(const ls_layer *l, ls_slot *s)
{
    uint32_t n = weights(&l->shape), loop = l->loop ? weights(l->loop) : 0;
    if (!s->pre) { /* never written to */
        s->weight = (ls_weight *)(uintptr_t)l->weight;
        s->recurrent = (ls_weight *)(uintptr_t)l->recurrent;
        s->bias = (ls_weight *)(uintptr_t)l->bias;
        return;
    }
    copy(s->weight, l->weight, n);
    if (loop)
        copy(s->recurrent = s->weight + n, l->recurrent, loop);
    if (l->bias)
        copy(s->bias = s->weight + n + loop, l->bias, l->shape.out_c);
}

int ls_init(ls_net *net, const ls_config *config, void *arena, size_t bytes, uint32_t flags)
{
    if (!net || !config || !allowed(flags))
        return LS_BAD_ARGUMENT;
    if (config->version != LS_VERSION)
        return LS_BAD_MODEL;
    if (!arena || ((uintptr_t)arena & 3u) || bytes < ls_arena_bytes(config, flags))
        return LS_BAD_ARENA;
    clear(net, sizeof *net);
    net->config = config;
    net->flags = flags;
    lay_out(net, config, arena, flags);
    for (unsigned i = 0; i < config->layers; i++) {
        const ls_layer *l = &config->layer[i];
        ls_slot *s = &config->slot[i];
        place_weights(l, s);
        if (s->pre)
            net->trainable |= 1u << i;
        if (s->gathered)
            clear(s->gathered, learnt(l) * sizeof(float));
    }
    ls_reset(net);
    return LS_OK;
}

void ls_reset(ls_net *net)
{
    for (unsigned i = 0; i < net->config->layers; i++) {
        const ls_layer *l = &net->config->layer[i];
        ls_slot *s = &net->config->slot[i];
        uint32_t n = neurons(&l->shape);
        clear(s->v, n * sizeof(ls_state));
        s->bias_pre = 0.0f;
        if (s->spikes)
            clear(s->spikes, bits(n));
        if (s->pre)
            clear(s->pre, inputs(&l->shape) * sizeof(ls_state));
        if (s->loop_pre)
            clear(s->loop_pre, n * sizeof(ls_state));
        if (s->post)
            clear(s->post, n * sizeof(ls_state));
        if (s->latent)
            clear(s->latent, l->latents * sizeof(float));
    }
    clear(net->logits, net->config->classes * sizeof(float));
    net->steps = 0;
    net->fresh = 0;
}

/* ---- a step ----------------------------------------------------------------------------------- */

/* Add what input i sends to all neurons that see it. */
static void send(const ls_shape *s, const ls_weight *weight, uint32_t i, float value, ls_state *u)
{
    int x = (int)(i / s->in_c), channel = (int)(i % s->in_c);
    int y = x / s->in_w + s->pad;
    x = x % s->in_w + s->pad;
    for (int ky = 0; ky < s->kernel; ky++) {
        int oy = (y - ky) / s->stride;
        if (y < ky || oy * s->stride != y - ky || oy >= s->out_h)
            continue;
        for (int kx = 0; kx < s->kernel; kx++) {
            int ox = (x - kx) / s->stride;
            if (x < kx || ox * s->stride != x - kx || ox >= s->out_w)
                continue;
            add_row(u + (size_t)(oy * s->out_w + ox) * s->out_c,
                    weight + (size_t)((ky * s->kernel + kx) * s->in_c + channel) * s->out_c,
                    value, s->out_c);
        }
    }
}

/* Currents of all inputs with events, and their traces if there are any. */
static void receive(const ls_shape *s, const ls_weight *weight, const uint8_t *x, int counts,
                    float unit, ls_state *pre, float decay, ls_state *u)
{
    uint32_t n = inputs(s);
    for (uint32_t i = 0; i < n; i++) {
        unsigned k = count(x, counts, i);
        float value = unit * (float)k;
        if (pre)
            pre[i] = decay * pre[i] + value;
        if (k)
            send(s, weight, i, value, u);
    }
}

static void trace_post(const ls_layer *l, const ls_slot *s)
{
    uint32_t n = neurons(&l->shape);
    for (uint32_t i = 0; i < n; i++) {
        float u = s->v[i] + (bit(s->spikes, i) ? l->reset : 0.0f);
        s->post[i] = l->post_decay * s->post[i] + l->psi(l, u - l->threshold);
    }
}

static void leak(const ls_layer *l, const ls_slot *s)
{
    uint32_t n = neurons(&l->shape);
    for (uint32_t i = 0; i < n; i++)
        s->v[i] = l->decay * s->v[i] + (s->bias ? s->bias[i % l->shape.out_c] : 0.0f);
}

static void fire(const ls_layer *l, const ls_slot *s)
{
    uint32_t n = neurons(&l->shape);
    clear(s->spikes, bits(n));
    for (uint32_t i = 0; i < n; i++)
        if (s->v[i] > l->threshold) {
            s->spikes[i >> 3] |= (uint8_t)(1u << (i & 7u));
            s->v[i] -= l->reset;
        }
}

static void filter_latents(const ls_layer *l, const ls_slot *s, float *now)
{
    read_latents(l, s, now);
    for (uint32_t i = 0; i < l->latents; i++)
        s->latent[i] = l->latent_decay * s->latent[i] + now[i];
}

static void advance(ls_net *net, const ls_layer *l, ls_slot *s, const uint8_t *x, int counts)
{
    if (s->post && net->steps)
        trace_post(l, s);
    if (s->past)
        for (uint32_t i = 0; i < bits(neurons(&l->shape)); i++)
            s->past[i] = s->spikes[i];
    leak(l, s);
    s->bias_pre = l->bias_decay * s->bias_pre + 1.0f;
    receive(&l->shape, s->weight, x, counts, l->unit, s->pre, l->pre_decay, s->v);
    if (l->loop)
        receive(l->loop, s->recurrent, s->spikes, 0, 1.0f, s->loop_pre, l->pre_decay, s->v);
    if (!l->psi)
        return;
    fire(l, s);
    if (l->pool)
        l->pool->forward(l, s);
    if (s->latent)
        filter_latents(l, s, net->scratch);
}

static void run(ls_net *net)
{
    const ls_config *config = net->config;
    const uint8_t *x = net->input;
    int counts = 1;
    for (unsigned i = 0; i < config->layers; i++) {
        advance(net, &config->layer[i], &config->slot[i], x, counts);
        x = config->slot[i].out;
        counts = config->layer[i].counts;
    }
    for (unsigned c = 0; c < config->classes; c++)
        net->logits[c] += config->slot[config->layers - 1].v[c];
    net->steps++;
    net->fresh = 1;
}

int ls_step(ls_net *net, const uint8_t *counts)
{
    if (!net || !counts)
        return LS_BAD_ARGUMENT;
    for (uint32_t i = 0; i < net->config->inputs; i++)
        net->input[i] = counts[i];
    run(net);
    return LS_OK;
}

int ls_step_events(ls_net *net, const uint32_t *index, size_t n)
{
    if (!net || (n && !index))
        return LS_BAD_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (index[i] >= net->config->inputs)
            return LS_BAD_EVENT;
    clear(net->input, net->config->inputs);
    for (size_t i = 0; i < n; i++)
        if (net->input[index[i]] < 255u)
            net->input[index[i]]++;
    run(net);
    return LS_OK;
}

static void max_forward(const ls_layer *l, const ls_slot *s)
{
    uint32_t side = l->pooled, w = l->shape.out_w / side, h = l->shape.out_h / side, to = 0;
    clear(s->out, bits(outputs(l)));
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t c = 0; c < l->shape.out_c; c++, to++)
                for (uint32_t k = 0; k < side * side; k++)
                    if (bit(s->spikes, ((y * side + k / side) * l->shape.out_w + x * side + k % side)
                                           * l->shape.out_c + c)) {
                        s->out[to >> 3] |= (uint8_t)(1u << (to & 7u));
                        break;
                    }
}

/* The first spike of a window takes its signal; with none, the first neuron. */
static int max_takes(const ls_layer *l, const ls_slot *s, unsigned y, unsigned x, unsigned c)
{
    uint32_t side = l->pooled, own = (y % side) * side + x % side;
    uint32_t top = y - y % side, left = x - x % side;
    if (own && !bit(s->spikes, (y * l->shape.out_w + x) * l->shape.out_c + c))
        return 0;
    for (uint32_t k = 0; k < side * side; k++)
        if (bit(s->spikes,
                ((top + k / side) * l->shape.out_w + left + k % side) * l->shape.out_c + c))
            return k == own;
    return 1; /* own is the first of a silent window */
}

static void mean_forward(const ls_layer *l, const ls_slot *s)
{
    uint32_t side = l->pooled, w = l->shape.out_w / side, h = l->shape.out_h / side;
    clear(s->out, outputs(l));
    for (uint32_t y = 0; y < h * side; y++)
        for (uint32_t x = 0; x < w * side; x++)
            for (uint32_t c = 0; c < l->shape.out_c; c++)
                s->out[((y / side) * w + x / side) * l->shape.out_c + c] +=
                    (uint8_t)bit(s->spikes, (y * l->shape.out_w + x) * l->shape.out_c + c);
}

static int mean_takes(const ls_layer *l, const ls_slot *s, unsigned y, unsigned x, unsigned c)
{
    (void)l, (void)s, (void)y, (void)x, (void)c;
    return 1;
}

const ls_pool ls_max_pool = {max_forward, max_takes};
const ls_pool ls_mean_pool = {mean_forward, mean_takes};

int ls_predict(const ls_net *net)
{
    int best = 0;
    for (int c = 1; c < net->config->classes; c++)
        if (net->logits[c] > net->logits[best])
            best = c;
    return best;
}

const float *ls_logits(const ls_net *net) { return net->logits; }
void ls_set_rate(ls_net *net, float rate) { net->rate = rate; }
void ls_set_trainable(ls_net *net, uint32_t layers) { net->trainable = layers; }
