/* Learning from the step just made: signals, post factors, weights. See ls.h. */
#include "ls_inside.h"

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

/* ---- signals ---------------------------------------------------------------------------------- */

void ls_read_vector(const ls_layer *l, const ls_slot *s, float *latent)
{
    for (uint32_t i = 0; i < l->latents; i++)
        latent[i] = bit(s->out, i) ? l->latent_unit : 0.0f;
}

void ls_filter(ls_net *net, const ls_layer *l, ls_slot *s)
{
    l->read(l, s, net->scratch);
    for (uint32_t i = 0; i < l->latents; i++)
        s->latent[i] = l->latent_decay * s->latent[i] + net->scratch[i];
}

/* 1 / sqrt(x) of x >= 1. */
static float inverse_root(float x)
{
    ls_word y;
    y.f = x;
    y.u = 0x5f375a86u - (y.u >> 1);
    for (int i = 0; i < 4; i++)
        y.f = y.f * (1.5f - 0.5f * x * y.f * y.f);
    return y.f;
}

/* exp(x) of x <= 0. */
static float exponential(float x)
{
    static const float term[] = {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f,
                                 0.5f,          1.0f,          1.0f};
    ls_word power;
    float p = 0.0f;
    int whole;
    if (!(x >= -87.0f)) /* or not a number */
        return 0.0f;
    whole = (int)(x * 1.44269504f - 0.5f);
    x = (x - (float)whole * 0.693359375f) + (float)whole * 2.12194440e-4f;
    for (unsigned i = 0; i < sizeof term / sizeof *term; i++)
        p = p * x + term[i];
    power.u = (uint32_t)(whole + 127) << 23;
    return p * power.f;
}

/* z becomes softmax(z) - onehot(label). */
static void to_error(float *z, unsigned classes, int label)
{
    float most = z[ls_best(z, (int)classes)], sum = 0.0f;
    for (unsigned c = 0; c < classes; c++)
        sum += z[c] = exponential(z[c] - most);
    for (unsigned c = 0; c < classes; c++)
        z[c] /= sum;
    z[label] -= 1.0f;
}

const float *ls_error_signal(ls_net *net, const ls_layer *l, const ls_slot *s, int label)
{
    for (unsigned c = 0; c < l->classes; c++)
        net->scratch[c] = readout(s)[c];
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
    ls_word value;
    if (l->basis)
        return l->basis[(size_t)c * l->latents + i] * x;
    value.f = x;
    value.u ^= (l->phase[c] * i) & 0x80000000u;
    return value.f;
}

/* to += the bases of classes c and c + 1 times their x; two a pass, for half the memory traffic. */
static void add_waves(const ls_layer *l, unsigned c, const float *x, float *to)
{
    int pair = c + 1u < l->classes;
    uint32_t first = 0, second = 0, by = l->phase[c], by_second = l->phase[c + (unsigned)pair];
    float x_first = x[c], x_second = pair ? x[c + 1u] : 0.0f;
    for (uint32_t i = 0; i < l->latents; i++, first += by, second += by_second) {
        float sum = to[i] + (first >> 31 ? -x_first : x_first);
        to[i] = sum + (second >> 31 ? -x_second : x_second);
    }
}

const float *ls_class_signal(ls_net *net, const ls_layer *l, const ls_slot *s, int label)
{
    float *m = net->scratch, *z = m + l->latents, scale = l->scale, squares = 0.0f;
    const float *a = s->latent ? s->latent : m;
    if (!s->latent)
        l->read(l, s, m);
    clear(z, l->classes * sizeof(float));
    for (uint32_t i = 0; i < l->latents; i++) {
        if (a[i] == 0.0f)
            continue;
        squares += a[i] * a[i];
        for (unsigned c = 0; c < l->classes; c++)
            z[c] += wave(l, c, i, a[i]);
    }
    if (scale == 0.0f)
        scale = squares > 1.0f ? inverse_root(squares) : 1.0f;
    for (unsigned c = 0; c < l->classes; c++)
        z[c] *= scale;
    to_error(z, l->classes, label);
    clear(m, l->latents * sizeof(float));
    for (unsigned c = 0; c < l->classes; c++)
        z[c] *= scale * l->latent_unit;
    if (l->basis)
        for (unsigned c = 0; c < l->classes; c++)
            ls_add_row(m, l->basis + (size_t)c * l->latents, z[c], l->latents);
    else
        for (unsigned c = 0; c < l->classes; c += 2)
            add_waves(l, c, z, m);
    return m;
}

/* ---- weights ---------------------------------------------------------------------------------- */

int ls_post_row(const ls_layer *l, const ls_slot *s, const float *m, unsigned y, unsigned x,
                const ls_state *trace, ls_word *row)
{
    uint32_t i = (y * l->shape.out_w + x) * l->shape.out_c, stride = latent_stride(l);
    int any = 0;
    m += latent_of(l, y / l->pooled, x / l->pooled);
    for (unsigned c = 0; c < l->shape.out_c; c++, i++, m += stride) {
        float value = 0.0f;
        if (!l->takes || l->takes(l, s, y, x, c)) {
            value = *m;
            if (trace)
                value *= post_value(l, trace[i]);
            else if (l->psi)
                value *= l->psi(l, distance(l, s, i));
        }
        row[c].f = value;
        any |= value != 0.0f;
    }
    return any;
}

/* Biases and weights of the input at one position learn from the row. */
static void learn_row(ls_net *net, const ls_layer *l, const ls_slot *s, unsigned y, unsigned x,
                      ls_events events)
{
    ls_lesson t = lesson_of(net, l, s, LS_INPUT);
    if (l->biased)
#if LS_BITS == 32
        ls_add_row(t.weight + l->learnt - l->shape.out_c, &t.row->f, t.factor * s->bias_pre,
                   l->shape.out_c);
#else
        ls_teach_bias(&t, l, s);
#endif
    by_gain(&t, l, LS_INPUT, l->pre_gain);
    l->synapse->change(&l->shape, &t, y, x, s->pre, events);
}

/* m psi (x) pre trace, and biases, of a linear layer, whose latents are its neurons. */
void ls_learn_vector(ls_net *net, const ls_layer *l, const ls_slot *s, ls_events x, const float *m)
{
    ls_word *row = net->row;
    for (uint32_t i = 0; i < l->neurons; i++)
        row[i].f = l->psi ? m[i] * l->psi(l, distance(l, s, i)) : m[i];
    learn_row(net, l, s, 0, 0, x);
}

/* The same of any layer. */
void ls_learn_causal(ls_net *net, const ls_layer *l, const ls_slot *s, ls_events x, const float *m)
{
    unsigned h = l->shape.out_h - l->shape.out_h % l->pooled;
    unsigned w = l->shape.out_w - l->shape.out_w % l->pooled;
    for (unsigned at_y = 0; at_y < h; at_y++)
        for (unsigned at_x = 0; at_x < w; at_x++)
            if (ls_post_row(l, s, m, at_y, at_x, NULL, net->row))
                learn_row(net, l, s, at_y, at_x, x);
}

int ls_learn(ls_net *net, int label)
{
    const ls_layer *l;
    const ls_slot *s;
    ls_events x;
    if (!net)
        return LS_BAD_ARGUMENT;
    if (!(net->flags & LS_LEARN) || !net->fresh)
        return LS_NOT_LEARNING;
    if (label < 0 || label >= net->config->classes)
        return LS_BAD_LABEL;
    l = net->config->layer;
    s = net->slot;
    x.data = net->arena;
    x.counts = 1;
    for (unsigned i = 0; i < net->config->layers; i++, l++, s++) {
        if ((net->trainable >> i & 1u) && s->pre)
            l->learn(net, l, s, x, l->signal(net, l, s, label));
        x.data = s->out;
        x.counts = l->counts;
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
        const ls_layer *l = net->config->layer + i;
        const ls_slot *s = net->slot + i;
        float rate = net->rate * l->rate;
        uint32_t n = s->gathered && (net->trainable >> i & 1u) ? l->learnt : 0;
#if LS_BITS != 32
        if (n)
            ls_settle(net, l, s, rate);
#endif
        for (uint32_t j = 0; j < n; j++) {
#if LS_BITS == 32
            s->weight[j] -= rate * s->gathered[j];
#endif
            /* Not by a product: what is no number would stay. */
            s->gathered[j] = momentum == 0.0f ? 0.0f : momentum * s->gathered[j];
        }
    }
    return LS_OK;
}

void ls_forget(ls_net *net)
{
    for (unsigned i = 0; i < net->config->layers; i++)
        if (net->slot[i].gathered)
            clear(net->slot[i].gathered, net->config->layer[i].learnt * sizeof(float));
}
