/* Learning from the step just made: signals, post factors, weights. See ls.h. */
#include "ls_inside.h"

typedef union {
    float f;
    uint32_t u;
} ls_bits;

float ls_triangle(const ls_layer *l, float distance)
{
    float d = distance < 0.0f ? -distance : distance;
    float value = l->psi_height - l->psi_slope * d;
    return value > 0.0f ? value : 0.0f;
}

float ls_fast_sigmoid(const ls_layer *l, float distance)
{
    float d = l->psi_slope * (distance < 0.0f ? -distance : distance) + 1.0f;
    return 1.0f / (d * d);
}

/* 1 / sqrt(x) of x >= 1. */
static float inverse_root(float x)
{
    ls_bits y;
    y.f = x;
    y.u = 0x5f375a86u - (y.u >> 1);
    for (int i = 0; i < 4; i++)
        y.f = y.f * (1.5f - 0.5f * x * y.f * y.f);
    return y.f;
}

/* exp(x) of x <= 0. */
static float exponential(float x)
{
    ls_bits power;
    int whole;
    float p;
    if (x < -87.0f)
        return 0.0f;
    whole = (int)(x * 1.44269504f - 0.5f);
    x = (x - (float)whole * 0.693359375f) + (float)whole * 2.12194440e-4f;
    p = 1.0f / 720.0f;
    p = p * x + 1.0f / 120.0f;
    p = p * x + 1.0f / 24.0f;
    p = p * x + 1.0f / 6.0f;
    p = p * x + 0.5f;
    p = p * x + 1.0f;
    p = p * x + 1.0f;
    power.u = (uint32_t)(whole + 127) << 23;
    return p * power.f;
}

/* z becomes softmax(z) - onehot(label). */
static void to_error(float *z, unsigned classes, int label)
{
    float most = z[0], sum = 0.0f;
    for (unsigned c = 1; c < classes; c++)
        if (z[c] > most)
            most = z[c];
    for (unsigned c = 0; c < classes; c++)
        sum += z[c] = exponential(z[c] - most);
    for (unsigned c = 0; c < classes; c++)
        z[c] = z[c] / sum - (c == (unsigned)label ? 1.0f : 0.0f);
}

const float *ls_error_signal(ls_net *net, const ls_layer *l, const ls_slot *s, int label)
{
    for (unsigned c = 0; c < l->classes; c++)
        net->scratch[c] = s->v[c];
    to_error(net->scratch, l->classes, label);
    return net->scratch;
}

const float *ls_label_signal(ls_net *net, const ls_layer *l, const ls_slot *s, int label)
{
    (void)net, (void)s;
    return l->basis + (size_t)label * l->latents;
}

/* Entry i of a class's basis times x: a stored number, or the sign of a square wave. */
static float wave(const ls_layer *l, unsigned c, uint32_t i, float x)
{
    ls_bits value;
    if (l->basis)
        return l->basis[(size_t)c * l->latents + i] * x;
    value.f = x;
    value.u ^= (l->phase[c] * i) & 0x80000000u;
    return value.f;
}

const float *ls_class_signal(ls_net *net, const ls_layer *l, const ls_slot *s, int label)
{
    float *a = net->scratch, *z = a + l->latents, scale = l->scale, squares = 0.0f;
    if (s->latent)
        for (uint32_t i = 0; i < l->latents; i++)
            a[i] = s->latent[i];
    else
        read_latents(l, s, a);
    if (scale == 0.0f) {
        for (uint32_t i = 0; i < l->latents; i++)
            squares += a[i] * a[i];
        scale = squares > 1.0f ? inverse_root(squares) : 1.0f;
    }
    for (unsigned c = 0; c < l->classes; c++) {
        float sum = 0.0f;
        for (uint32_t i = 0; i < l->latents; i++)
            sum += wave(l, c, i, a[i]);
        z[c] = scale * sum;
    }
    to_error(z, l->classes, label);
    for (unsigned c = 0; c < l->classes; c++)
        z[c] *= scale * l->latent_unit;
    for (uint32_t i = 0; i < l->latents; i++) {
        float sum = 0.0f;
        for (unsigned c = 0; c < l->classes; c++)
            sum += wave(l, c, i, z[c]);
        a[i] = sum;
    }
    return a;
}

/* What a row of post factors does to the weights behind one position; pre, or x where it is null. */
static void change(const ls_shape *s, float *weight, const float *row, unsigned y, unsigned x,
                   const ls_state *pre, const uint8_t *events, int counts, float factor)
{
    for (int ky = 0; ky < s->kernel; ky++) {
        int iy = (int)y * s->stride + ky - s->pad;
        if (iy < 0 || iy >= s->in_h)
            continue;
        for (int kx = 0; kx < s->kernel; kx++) {
            int ix = (int)x * s->stride + kx - s->pad;
            uint32_t from = ((uint32_t)iy * s->in_w + (uint32_t)ix) * s->in_c;
            float *to = weight + (size_t)(ky * s->kernel + kx) * s->in_c * s->out_c;
            if (ix < 0 || ix >= s->in_w)
                continue;
            for (unsigned c = 0; c < s->in_c; c++, to += s->out_c) {
                float k = pre ? pre[from + c] : (float)count(events, counts, from + c);
                if (k != 0.0f)
                    add_row(to, row, factor * k, s->out_c);
            }
        }
    }
}

typedef struct { /* the input of a layer */
    const uint8_t *data;
    int counts;
} ls_input;

/* Post factors of the neurons at one position: m, times psi or the post trace. */
static int post_row(const ls_layer *l, const ls_slot *s, const float *m, unsigned y, unsigned x,
                    const ls_state *trace, float *row)
{
    uint32_t at = (y * l->shape.out_w + x) * l->shape.out_c;
    unsigned side = l->pool ? l->pooled : 1u;
    int any = 0;
    for (unsigned c = 0; c < l->shape.out_c; c++, at++) {
        float value = 0.0f;
        if (!l->pool || l->pool->takes(l, s, y, x, c)) {
            value = m[latent_of(l, y / side, x / side, c)];
            if (trace)
                value *= trace[at];
            else if (l->psi)
                value *= l->psi(l, s->v[at] + (bit(s->spikes, at) ? l->reset : 0.0f) - l->threshold);
        }
        row[c] = value;
        any |= value != 0.0f;
    }
    return any;
}

static void learn_layer(ls_net *net, const ls_layer *l, const ls_slot *s, ls_input in, int label)
{
    const float *m = l->signal(net, l, s, label);
    float *row = net->scratch + net->config->scratch - l->shape.out_c;
    float *weight = s->gathered ? s->gathered : s->weight;
    float *loop = weight + weights(&l->shape), rate = s->gathered ? 1.0f : -net->rate;
    float *bias = loop + (l->loop ? weights(l->loop) : 0u);
    unsigned side = l->pool ? l->pooled : 1u;
    unsigned h = l->shape.out_h / side * side, w = l->shape.out_w / side * side;
    for (unsigned y = 0; y < h; y++)
        for (unsigned x = 0; x < w; x++) {
            if (post_row(l, s, m, y, x, NULL, row)) {
                float by = rate * l->pre_gain;
                change(&l->shape, weight, row, y, x, s->pre, NULL, 0, by);
                if (l->loop)
                    change(l->loop, loop, row, y, x, s->loop_pre, NULL, 0, by);
                if (l->bias)
                    add_row(bias, row, rate * s->bias_pre, l->shape.out_c);
            }
            if (s->post && post_row(l, s, m, y, x, s->post, row)) {
                float by = rate * l->post_gain;
                change(&l->shape, weight, row, y, x, NULL, in.data, in.counts, by * l->unit);
                if (l->loop)
                    change(l->loop, loop, row, y, x, NULL, s->past, 0, by);
            }
        }
}

int ls_learn(ls_net *net, int label)
{
    if (!net)
        return LS_BAD_ARGUMENT;
    if (!(net->flags & LS_LEARN) || !net->fresh)
        return LS_NOT_LEARNING;
    if (label < 0 || label >= net->config->classes)
        return LS_BAD_LABEL;
    ls_input in = {net->input, 1};
    for (unsigned i = 0; i < net->config->layers; i++) {
        const ls_layer *l = &net->config->layer[i];
        const ls_slot *s = &net->config->slot[i];
        if ((net->trainable >> i & 1u) && s->pre)
            learn_layer(net, l, s, in, label);
        in.data = s->out;
        in.counts = l->counts;
    }
    net->fresh = 0;
    return LS_OK;
}

int ls_update(ls_net *net, float momentum)
{
    if (!net)
        return LS_BAD_ARGUMENT;
    if (!(net->flags & LS_GATHER))
        return LS_NOT_LEARNING;
    for (unsigned i = 0; i < net->config->layers; i++) {
        const ls_slot *s = &net->config->slot[i];
        uint32_t n = s->gathered ? learnt(&net->config->layer[i]) : 0;
        for (uint32_t j = 0; j < n; j++) {
            s->weight[j] -= net->rate * s->gathered[j];
            s->gathered[j] *= momentum;
        }
    }
    return LS_OK;
}
