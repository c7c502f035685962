## Position of the first largest (op max) or smallest (op min) value along one axis of [outer, R, inner].
##
## The first of equal values wins, and the first NaN beats everything (NumPy's rule). Four kernels:
##   whole    inner == 1: one row of R >= 16 adjacent elements per result
##   rows     the same for long rows, cut into `chunks` pieces: value and position of each piece
##   finish   the best of a row's pieces, taken in order
##   lanes    inner == 1, R < 16: sixteen rows side by side, one per vector lane
##   columns  inner > 1: vectors lie along `inner`, the walk goes down the rows
##
## A vector keeps in each lane its best value and its position; at the end halves are compared pairwise, and
## among equals the smaller position wins.
##
## schedule cpu: one work-item per group walks `per` adjacent units; schedule gpu: 64 items share a row, or
## take one column (or row) each.
##
## Params
##   schedule  "cpu" or "gpu"
##   op        "max" or "min"
##   src       dtype searched
##   dst       dtype of the positions, int32 or int64
<%!
from cltensor.kernels.accumulate import accumulator, better, load_acc, LANES
%>
<%
A = accumulator(src)
T, T16, M, M16 = A.compute, A.compute + "16", A.mask, A.mask + "16"
def B(a, b): return better(op, A, a, b)
def LOAD(v, p): return load_acc(src, v, "0", p)
def ties(a, b):
    """a and b are equal as far as the order goes: equal numbers, or both NaN."""
    return f"(({a} == {b}) | (({a} != {a}) & ({b} != {b})))" if A.is_floating else f"({a} == {b})"
def wins(v, w, j, k):
    """Mask: the pair (w, k) comes before the pair (v, j)."""
    return f"{B(v, w)} | ({ties(v, w)} & ({k} < {j}))"
POS = dt(dst).cl
%>
// Positions have the width of the values (the mask type), so that one select serves both.
inline ${T} finish1(${T} v, ${M} j, ${T} w, ${M} k, ${M} *best)
{
    const int take = ${wins("v", "w", "j", "k")};
    *best = take ? k : j;
    return take ? w : v;
}
% if schedule == "cpu":

inline ${T} pairs(${T16} v, ${M16} j, ${M} *best)
{
<% width, name, pos = 16, "v", "j" %>
% while width > 1:
<% half = width // 2; t = f"{T}{half}" if half > 1 else T; m = f"{M}{half}" if half > 1 else M %>
    const ${t} a${half} = ${name}.lo, b${half} = ${name}.hi;
    const ${m} p${half} = ${pos}.lo, q${half} = ${pos}.hi;
% if half > 1:
    const ${m} m${half} = ${wins(f"a{half}", f"b{half}", f"p{half}", f"q{half}")};
    const ${t} v${half} = select(a${half}, b${half}, m${half});
    const ${m} j${half} = select(p${half}, q${half}, m${half});
% endif
<% width, name, pos = half, f"v{half}", f"j{half}" %>
% endwhile
    return finish1(a1, p1, b1, q1, best);
}

inline ${T} along(__global const ${dt(src).cl} *p, const size_t len, ${M} *best)
{
    ${M16} at = (${M16})(${LANES}), j = at;
    ${T16} v;
    if (len < 16) {
        ${T} t[16];
        for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "p + min((size_t)l, len - 1)")};
        j = min(j, (${M16})((${M})(len - 1)));
        return pairs(vload16(0, t), j, best);
    }
    v = ${LOAD(16, "p")};
    size_t i = 16;
    if (len >= 256) {       // four vectors at a time, so that compares need not wait for each other
% for k in range(1, 4):
        ${T16} v${k} = ${LOAD(16, f"p + {16 * k}")};
        ${M16} j${k} = j;
% endfor
        for (i = 64; i + 64 <= len; i += 64) {
            at += (${M16})(64);
% for k in range(4):
            {
                const ${T16} w = ${LOAD(16, f"p + i + {16 * k}")};
                const ${M16} m = ${B(f"v{k or ''}", "w")};
                v${k or ""} = select(v${k or ""}, w, m);
                j${k or ""} = select(j${k or ""}, at, m);
            }
% endfor
        }
% for k in range(1, 4):
        {
            j${k} += (${M16})(${16 * k});
            const ${M16} m = ${wins("v", f"v{k}", "j", f"j{k}")};
            v = select(v, v${k}, m);
            j = select(j, j${k}, m);
        }
% endfor
        at += (${M16})(48);
    }
    for (; i + 16 <= len; i += 16) {
        at += (${M16})(16);
        const ${T16} w = ${LOAD(16, "p + i")};
        const ${M16} m = ${B("v", "w")};
        v = select(v, w, m);
        j = select(j, at, m);
    }
    if (i < len) {      // a full vector that ends at the last element: seeing some twice does no harm
        at = (${M16})(${LANES}) + (${M16})((${M})(len - 16));
        const ${T16} w = ${LOAD(16, "p + len - 16")};
        const ${M16} m = ${B("v", "w")};
        v = select(v, w, m);
        j = select(j, at, m);
    }
    return pairs(v, j, best);
}

SOLO __kernel void whole(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong rows, const ulong R,
                         const ulong per)
{
    size_t r = get_group_id(0) * per;
    const size_t end = min((size_t)(r + per), (size_t)rows);
    for (; r < end; ++r) {
        ${M} best;
        along(in + r * R, R, &best);
        out[r] = best;
    }
}

SOLO __kernel void rows(__global ${T} *value, __global long *place, __global const ${dt(src).cl} *in,
                        const ulong rows, const ulong R, const ulong chunks, const ulong chunk, const ulong per)
{
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(rows * chunks));
    for (; u < end; ++u) {
        const size_t row = u / chunks, first = (u % chunks) * chunk;
        ${M} best;
        value[u] = along(in + row * R + first, min((size_t)chunk, (size_t)(R - first)), &best);
        place[u] = (long)first + best;
    }
}

SOLO __kernel void lanes(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong rows, const ulong R,
                         const ulong per)
{
    size_t r = get_group_id(0) * per * 16;
    const size_t end = min((size_t)(r + per * 16), (size_t)rows);
    for (; r < end; r += 16) {
        const uint left = min((size_t)16, (size_t)(end - r));
        ${M16} j = (${M16})(0);
        ${T16} v = (${T16})(0);
        for (size_t k = 0; k < R; ++k) {
            ${T} t[16];
            for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "in + (r + min(l, left - 1)) * R + k")};
            const ${T16} w = vload16(0, t);
            const ${M16} m = k == 0 ? (${M16})(-1) : ${B("v", "w")};
            v = select(v, w, m);
            j = select(j, (${M16})((${M})k), m);
        }
        ${M} t[16];
        vstore16(j, 0, t);
        for (uint l = 0; l < left; ++l) out[r + l] = t[l];
    }
}

inline ${T16} part(__global const ${dt(src).cl} *in, const size_t at, const size_t n)
{
    if (at + 16 <= n) return ${LOAD(16, "in + at")};
    ${T} t[16];
    for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "in + min((size_t)(at + l), n - 1)")};
    return vload16(0, t);
}

SOLO __kernel void columns(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong outer, const ulong R,
                           const ulong inner, const ulong strips, const ulong per)
{
    const size_t n = outer * R * inner;
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * strips));
    for (; u < end; ++u) {
        const size_t o = u / strips, s = (u % strips) * 16;
        size_t p = o * R * inner + s;
        ${T16} v = part(in, p, n);
        ${M16} j = (${M16})(0);
        for (size_t k = 1; k < R; ++k) {
            p += inner;
            const ${T16} w = part(in, p, n);
            const ${M16} m = ${B("v", "w")};
            v = select(v, w, m);
            j = select(j, (${M16})((${M})k), m);
        }
        const uint left = min((size_t)16, (size_t)(inner - s));
        ${M} t[16];
        vstore16(j, 0, t);
        for (uint l = 0; l < left; ++l) out[o * inner + s + l] = t[l];
    }
}

SOLO
% else:
#define TEAM __attribute__((reqd_work_group_size(64, 1, 1)))

// The row's best over 64 items, each of which walked every 64th element; valid in item 0.
inline ${T} along(__global const ${dt(src).cl} *p, const size_t len, __local ${T} *sv, __local ${M} *sj, ${M} *best)
{
    const uint id = get_local_id(0);
    size_t i = min((size_t)id, len - 1);
    ${T} v = ${LOAD(1, "p + i")};
    ${M} j = i;
    for (i = id + 64; i < len; i += 64) {
        const ${T} w = ${LOAD(1, "p + i")};
        if (${B("v", "w")}) { v = w; j = i; }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    sv[id] = v;
    sj[id] = j;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_ = 32; half_ > 0; half_ >>= 1) {
        if (id < half_) {
            ${M} k;
            sv[id] = finish1(sv[id], sj[id], sv[id + half_], sj[id + half_], &k);
            sj[id] = k;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    *best = sj[0];
    return sv[0];
}

TEAM __kernel void whole(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong rows, const ulong R,
                         const ulong per)
{
    __local ${T} sv[64];
    __local ${M} sj[64];
    for (size_t r = get_group_id(0); r < rows; r += get_num_groups(0)) {
        ${M} best;
        along(in + r * R, R, sv, sj, &best);
        if (get_local_id(0) == 0) out[r] = best;
    }
}

TEAM __kernel void rows(__global ${T} *value, __global long *place, __global const ${dt(src).cl} *in,
                        const ulong rows, const ulong R, const ulong chunks, const ulong chunk, const ulong per)
{
    __local ${T} sv[64];
    __local ${M} sj[64];
    const size_t units = rows * chunks;
    for (size_t u = get_group_id(0); u < units; u += get_num_groups(0)) {
        const size_t row = u / chunks, first = (u % chunks) * chunk;
        ${M} best;
        const ${T} v = along(in + row * R + first, min((size_t)chunk, (size_t)(R - first)), sv, sj, &best);
        if (get_local_id(0) == 0) {
            value[u] = v;
            place[u] = (long)first + best;
        }
    }
}

TEAM __kernel void lanes(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong rows, const ulong R,
                         const ulong per)
{
    for (size_t r = get_global_id(0); r < rows; r += get_global_size(0)) {
        ${T} v = ${LOAD(1, "in + r * R")};
        ${POS} j = 0;
        for (size_t k = 1; k < R; ++k) {
            const ${T} w = ${LOAD(1, "in + r * R + k")};
            if (${B("v", "w")}) { v = w; j = k; }
        }
        out[r] = j;
    }
}

TEAM __kernel void columns(__global ${POS} *out, __global const ${dt(src).cl} *in, const ulong outer, const ulong R,
                           const ulong inner, const ulong strips, const ulong per)
{
    const size_t units = outer * inner;
    for (size_t u = get_global_id(0); u < units; u += get_global_size(0)) {
        __global const ${dt(src).cl} *p = in + (u / inner) * R * inner + u % inner;
        ${T} v = ${LOAD(1, "p")};
        ${POS} j = 0;
        for (size_t k = 1; k < R; ++k) {
            p += inner;
            const ${T} w = ${LOAD(1, "p")};
            if (${B("v", "w")}) { v = w; j = k; }
        }
        out[u] = j;
    }
}

TEAM
% endif
__kernel void finish(__global ${POS} *out, __global const ${T} *value, __global const long *place,
                     const ulong rows, const ulong chunks, const ulong per)
{
% if schedule == "cpu":
    const size_t start = get_group_id(0) * per, end = min((size_t)(start + per), (size_t)rows), step = 1;
% else:
    const size_t start = get_global_id(0), end = rows, step = get_global_size(0);
% endif
    for (size_t r = start; r < end; r += step) {
        ${T} v = value[r * chunks];
        long j = place[r * chunks];
        for (size_t c = 1; c < chunks; ++c) {
            const ${T} w = value[r * chunks + c];
            if (${B("v", "w")}) { v = w; j = place[r * chunks + c]; }
        }
        out[r] = j;
    }
}
