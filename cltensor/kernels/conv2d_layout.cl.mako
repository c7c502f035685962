## What goes before and after a convolution's contraction: activations with a border of zeros, weights in panels,
## the sum of parts.
##
## pad     d[n, y, x, c], n x hp x wp x cp, is s[n, y - top, x - left, c], n x h x w x c, where that exists, else 0
## panels  d[j, t, k, i], i < nr, is s[t * step + k * sk + (j * nr + i) * si], 0 where the column j * nr + i >= n;
##         with `flip` tap t of d is tap taps - 1 - t of s
## fold    out[row, col], rows x n, is the sum over p < parts, in order, of s[p, row, col], each rows x width
##
## Params: dtype (of s in pad and panels, of out in fold; the other side has the compute type), v, schedule.
## cpu: a group owns a block of `per` rows of d (pad), one panel of one tap (panels), `per` rows (fold).
## gpu: an item per element of the destination, neighbours side by side.
<%
    d = dt(dtype)
    X = d.compute
%>\
% if schedule == "cpu":
static inline void zero(__global ${X} *d, size_t n)
{
    size_t i = 0;
    for (; i + ${v} <= n; i += ${v})
        vstore${v}((${vec(X, v)})(0), 0, d + i);
    for (; i < n; i++)
        d[i] = 0;
}

static inline void copy(__global ${X} *d, __global const ${d.cl} *s, size_t n)
{
    size_t i = 0;
    for (; i + ${v} <= n; i += ${v})
        vstore${v}(${load(dtype, v, 0, "s + i")}, 0, d + i);
    for (; i < n; i++)
        d[i] = ${load1(dtype, "s", "i")};
}

// Groups: block of `per` of the `rows` = n * hp rows.
SOLO __kernel void pad(__global ${X} *restrict d, __global const ${d.cl} *restrict s, ulong rows, ulong hp, ulong wp,
                       ulong cp, ulong h, ulong w, ulong c, ulong top, ulong left, ulong per)
{
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)rows);
    // columns that exist on both sides
    const size_t some = left < wp ? min((size_t)w, (size_t)(wp - left)) : 0, lead = min((size_t)left, (size_t)wp);
    for (size_t r = get_group_id(0) * (size_t)per; r < end; r++) {
        const size_t image = r / hp, y = r - image * hp;
        __global ${X} *p = d + r * wp * cp;
        if (y < top || y - top >= h) {
            zero(p, wp * cp);
            continue;
        }
        __global const ${d.cl} *q = s + (image * h + y - top) * w * c;
        zero(p, lead * cp);
        p += lead * cp;
        if (c == cp) {
            copy(p, q, some * c);
            p += some * c;
        } else {
            for (size_t x = 0; x < some; x++, p += cp, q += c) {
                copy(p, q, c);
                zero(p + c, cp - c);
            }
        }
        zero(p, (wp - lead - some) * cp);
    }
}

// Groups: tap, panel.
SOLO __kernel void panels(__global ${X} *restrict d, __global const ${d.cl} *restrict s, ulong taps, ulong k, ulong n,
                          ulong nr, ulong step, ulong sk, ulong si, ulong flip)
{
    const size_t tap = get_group_id(0), j = get_group_id(1), some = min((size_t)nr, (size_t)(n - j * nr));
    d += (j * taps + tap) * k * nr;
    s += (flip ? taps - 1 - tap : tap) * step + j * nr * si;
    if (si == 1) {
        for (size_t p = 0; p < k; p++, d += nr, s += sk) {
            copy(d, s, some);
            zero(d + some, nr - some);
        }
    } else {
        size_t i = 0;
        // squares of ${v} x ${v} are turned in registers
        for (; sk == 1 && i + ${v} <= some; i += ${v}) {
            __global const ${d.cl} *q = s + i * si;
            size_t p = 0;
            for (; p + ${v} <= k; p += ${v}) {
% for m in range(v):
                const ${vec(X, v)} r${m} = ${load(dtype, v, 0, f"q + {m} * si + p")};
% endfor
% for m in range(v):
                vstore${v}((${vec(X, v)})(${", ".join(f"r{n}.s{m:x}" for n in range(v))}), 0, d + (p + ${m}) * nr + i);
% endfor
            }
            for (; p < k; p++)
                for (size_t m = 0; m < ${v}; m++)
                    d[p * nr + i + m] = ${load1(dtype, "q", "m * si + p")};
        }
        for (; i < nr; i++)
            for (size_t p = 0; p < k; p++)
                d[p * nr + i] = i < some ? ${load1(dtype, "s", "i * si + p * sk")} : 0;
    }
}

// Groups: block of `per` rows.
SOLO __kernel void fold(__global ${d.cl} *restrict out, __global const ${X} *restrict s, ulong parts, ulong rows, ulong n,
                        ulong width, ulong per)
{
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)rows), all = rows * width;
    for (size_t r = get_group_id(0) * (size_t)per; r < end; r++) {
        __global const ${X} *q = s + r * width;
        __global ${d.cl} *o = out + r * n;
        size_t i = 0;
        for (; i + ${v} <= n; i += ${v}) {
            ${vec(X, v)} x = vload${v}(0, q + i);
            for (size_t p = 1; p < parts; p++)
                x += vload${v}(0, q + p * all + i);
            ${store(dtype, v, "x", 0, "o + i")};
        }
        for (; i < n; i++) {
            ${X} x = q[i];
            for (size_t p = 1; p < parts; p++)
                x += q[p * all + i];
            ${store1(dtype, "x", "o", "i")};
        }
    }
}
% else:
__kernel void pad(__global ${X} *restrict d, __global const ${d.cl} *restrict s, ulong rows, ulong hp, ulong wp,
                  ulong cp, ulong h, ulong w, ulong c, ulong top, ulong left, ulong per)
{
    const size_t total = rows * wp * cp;
    for (size_t g = get_global_id(0); g < total; g += get_global_size(0)) {
        const size_t pixel = g / cp, i = g - pixel * cp, r = pixel / wp, x = pixel - r * wp;
        const size_t image = r / hp, y = r - image * hp;
        const int real = i < c && y >= top && y - top < h && x >= left && x - left < w;
        d[g] = real ? ${load1(dtype, "s", "((image * h + y - top) * w + x - left) * c + i")} : 0;
    }
}

__kernel void panels(__global ${X} *restrict d, __global const ${d.cl} *restrict s, ulong taps, ulong k, ulong n,
                     ulong nr, ulong step, ulong sk, ulong si, ulong flip)
{
    const size_t blocks = (n + nr - 1) / nr, total = blocks * taps * k * nr;
    for (size_t g = get_global_id(0); g < total; g += get_global_size(0)) {
        const size_t cell = g / nr, i = g - cell * nr, line = cell / k, p = cell - line * k;
        const size_t j = line / taps, to = line - j * taps, tap = flip ? taps - 1 - to : to;
        d[g] = j * nr + i < n ? ${load1(dtype, "s", "tap * step + p * sk + (j * nr + i) * si")} : 0;
    }
}

__kernel void fold(__global ${d.cl} *restrict out, __global const ${X} *restrict s, ulong parts, ulong rows, ulong n,
                   ulong width, ulong per)
{
    const size_t total = rows * n, all = rows * width;
    for (size_t g = get_global_id(0); g < total; g += get_global_size(0)) {
        const size_t r = g / n, at = r * width + g - r * n;
        ${X} x = s[at];
        for (size_t p = 1; p < parts; p++)
            x += s[p * all + at];
        ${store1(dtype, "x", "out", "g")};
    }
}
% endif
