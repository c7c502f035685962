## Reduce one axis of a dense array seen as [outer, R, inner]: out[o, i] = final(op over r of map(in[o, r, i])).
##
## Three kernels, chosen by the shape:
##   rows     inner == 1, R >= 16: R adjacent elements per result
##   lanes    inner == 1, R < 16: sixteen results side by side, one per vector lane
##   columns  inner > 1: vectors lie along `inner`, the walk goes down the rows
##
## rows and columns may cut R into blocks (`chunks`), one partial result each; a second launch reduces the
## partials [outer, chunks, inner]. Cuts follow from sizes alone, and every sum is a fixed tree of vectors, so
## the bits never change from run to run.
##
##     rows      unit u = row * chunks + c                   -> out[u]
##     columns   unit u = (o * chunks + c) * strips + s      -> out[(o * chunks + c) * inner + 64 s ...]
##
## schedule cpu: one work-item per group walks `per` adjacent units; vectors of 16, four accumulators.
## schedule gpu: 64 items share a row and end in a local-memory tree, or take one column (or row) each.
##
## Params
##   schedule  "cpu" or "gpu"
##   op        "sum", "prod", "max" or "min"
##   src, dst  dtypes read and written
##   map       C expression of x, applied to each element first
##   final     C expression of x and scale, applied to each result; scale is an argument
<%!
from cltensor.kernels.accumulate import accumulator, combine, identity, load_acc, store_acc, LANES
%>
<%
A = accumulator(src)
T, T16, M16 = A.compute, A.compute + "16", A.mask + "16"
ID = identity(op, src)
def C(v, a, b): return combine(op, A, v, a, b)
def LOAD(v, p): return load_acc(src, v, "0", p)
def STORE(v, value, p): return store_acc(dst, v, value, "0", p)
%>
% if schedule == "cpu":
inline ${T16} map16(${T16} x) { return ${map}; }
inline ${T16} final16(${T16} x, ${T} s) { ${T16} scale = (${T16})(s); return ${final}; }
% endif
inline ${T} map1(${T} x) { return ${map}; }
inline ${T} final1(${T} x, ${T} scale) { return ${final}; }
% if schedule == "cpu":

inline ${T16} both16(${T16} a, ${T16} b) { return ${C(16, "a", "b")}; }

inline ${T} tree(${T16} v)
{
    const ${T}8 a = v.lo, b = v.hi, c = ${C(8, "a", "b")};
    const ${T}4 d = c.lo, e = c.hi, f = ${C(4, "d", "e")};
    const ${T}2 g = f.lo, h = f.hi, k = ${C(2, "g", "h")};
    return ${C(1, "k.x", "k.y")};
}

// One result of `len` adjacent elements. The tail is a full vector that ends at the last element; lanes that
// the loop has already taken count as the identity.
inline ${T} along(__global const ${dt(src).cl} *p, const size_t len)
{
    ${T16} s0 = (${T16})(${ID}), s1 = s0, s2 = s0, s3 = s0;
    if (len < 16) {
        ${T} t[16];
        for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "p + min((size_t)l, len - 1)")};
        s0 = map16(vload16(0, t));
        vstore16(s0, 0, t);
        for (uint l = len; l < 16; ++l) t[l] = ${ID};
        return tree(vload16(0, t));
    }
    size_t i = 0;
    for (; i + 64 <= len; i += 64) {
% for k in range(4):
        s${k} = both16(s${k}, map16(${LOAD(16, f"p + i + {16 * k}")}));
% endfor
    }
    for (; i + 16 <= len; i += 16) s0 = both16(s0, map16(${LOAD(16, "p + i")}));
    if (i < len) {
        const ${M16} fresh = (${M16})(${LANES}) >= (${M16})((${dt(A).mask})(16 - (len - i)));
        s1 = both16(s1, select((${T16})(${ID}), map16(${LOAD(16, "p + len - 16")}), fresh));
    }
    return tree(both16(both16(s0, s1), both16(s2, s3)));
}

SOLO __kernel void rows(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong rows,
                        const ulong R, const ulong chunks, const ulong chunk, const ulong per, const ${T} scale)
{
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(rows * chunks));
    size_t row = u / chunks, c = u % chunks;
    for (; u < end; ++u) {
        const size_t first = c * chunk;
        const ${T} x = along(in + row * R + first, min((size_t)chunk, (size_t)(R - first)));
        ${STORE(1, "final1(x, scale)", "out + u")};
        if (++c == chunks) { c = 0; ++row; }
    }
}

// Sixteen rows of R < 16 elements at once; the last block repeats its last row in the idle lanes.
SOLO __kernel void lanes(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong rows,
                         const ulong R, const ulong per, const ${T} scale)
{
    size_t r = get_group_id(0) * per * 16;
    const size_t end = min((size_t)(r + per * 16), (size_t)rows);
    for (; r < end; r += 16) {
        const uint left = min((size_t)16, (size_t)(end - r));
        ${T16} s = (${T16})(${ID});
        for (size_t j = 0; j < R; ++j) {
            __global const ${dt(src).cl} *p = in + r * R + j;
            ${T} t[16];
            if (left == 16)
                for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "p + l * R")};
            else
                for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "p + min(l, left - 1) * R")};
            s = both16(s, map16(vload16(0, t)));
        }
        s = final16(s, scale);
        if (left == 16) {
            ${STORE(16, "s", "out + r")};
        } else {
            ${T} t[16];
            vstore16(s, 0, t);
            for (uint l = 0; l < left; ++l) ${STORE(1, "t[l]", "out + r + l")};
        }
    }
}

// Sixteen elements from `at`, some of them possibly past the row (their lanes are not stored) but none past n.
inline ${T16} part(__global const ${dt(src).cl} *in, const size_t at, const size_t n)
{
    if (at + 16 <= n) return map16(${LOAD(16, "in + at")});
    ${T} t[16];
    for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "in + min((size_t)(at + l), n - 1)")};
    return map16(vload16(0, t));
}

SOLO __kernel void columns(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong outer,
                           const ulong R, const ulong inner, const ulong strips, const ulong chunks,
                           const ulong chunk, const ulong per, const ${T} scale)
{
    const size_t n = outer * R * inner;
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * chunks * strips));
    for (; u < end; ++u) {
        const size_t s = u % strips, oc = u / strips, c = oc % chunks, o = oc / chunks;
        const size_t first = c * chunk, many = min((size_t)chunk, (size_t)(R - first));
        const size_t at = (o * R + first) * inner + s * 64;
        __global ${dt(dst).cl} *q = out + oc * inner + s * 64;
        const uint width = min((size_t)64, (size_t)(inner - s * 64));
        if (width == 64) {
            ${T16} s0 = (${T16})(${ID}), s1 = s0, s2 = s0, s3 = s0;
            __global const ${dt(src).cl} *p = in + at;
            for (size_t r = 0; r < many; ++r, p += inner) {
% for k in range(4):
                s${k} = both16(s${k}, map16(${LOAD(16, f"p + {16 * k}")}));
% endfor
            }
% for k in range(4):
            ${STORE(16, f"final16(s{k}, scale)", f"q + {16 * k}")};
% endfor
            continue;
        }
        for (uint w = 0; w < width; w += 16) {
            const uint left = min(16u, width - w);
            ${T16} s0 = (${T16})(${ID}), s1 = s0, s2 = s0, s3 = s0;
            size_t r = 0, p = at + w;
            for (; r + 4 <= many; r += 4, p += 4 * inner) {
% for k in range(4):
                s${k} = both16(s${k}, part(in, p + ${k} * inner, n));
% endfor
            }
            for (; r < many; ++r, p += inner) s0 = both16(s0, part(in, p, n));
            s0 = final16(both16(both16(s0, s1), both16(s2, s3)), scale);
            if (left == 16) {
                ${STORE(16, "s0", "q + w")};
            } else {
                ${T} t[16];
                vstore16(s0, 0, t);
                for (uint l = 0; l < left; ++l) ${STORE(1, "t[l]", "q + w + l")};
            }
        }
    }
}
% else:
#define TEAM __attribute__((reqd_work_group_size(64, 1, 1)))

TEAM __kernel void rows(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong rows,
                        const ulong R, const ulong chunks, const ulong chunk, const ulong per, const ${T} scale)
{
    __local ${T} share[64];
    const uint id = get_local_id(0);
    const size_t units = rows * chunks;
    for (size_t u = get_group_id(0); u < units; u += get_num_groups(0)) {
        const size_t row = u / chunks, first = (u % chunks) * chunk;
        const size_t len = min((size_t)chunk, (size_t)(R - first));
        __global const ${dt(src).cl} *p = in + row * R + first;
        ${T} s = ${ID};
        for (size_t i = id; i < len; i += 64) {
            const ${T} x = map1(${LOAD(1, "p + i")});
            s = ${C(1, "s", "x")};
        }
        share[id] = s;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint half_ = 32; half_ > 0; half_ >>= 1) {
            if (id < half_) share[id] = ${C(1, "share[id]", "share[id + half_]")};
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (id == 0) ${STORE(1, "final1(share[0], scale)", "out + u")};
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

TEAM __kernel void lanes(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong rows,
                         const ulong R, const ulong per, const ${T} scale)
{
    for (size_t r = get_global_id(0); r < rows; r += get_global_size(0)) {
        ${T} s = ${ID};
        for (size_t j = 0; j < R; ++j) {
            const ${T} x = map1(${LOAD(1, "in + r * R + j")});
            s = ${C(1, "s", "x")};
        }
        ${STORE(1, "final1(s, scale)", "out + r")};
    }
}

TEAM __kernel void columns(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong outer,
                           const ulong R, const ulong inner, const ulong strips, const ulong chunks,
                           const ulong chunk, const ulong per, const ${T} scale)
{
    const size_t units = outer * chunks * inner;
    for (size_t u = get_global_id(0); u < units; u += get_global_size(0)) {
        const size_t i = u % inner, oc = u / inner, c = oc % chunks, o = oc / chunks;
        const size_t first = c * chunk, many = min((size_t)chunk, (size_t)(R - first));
        __global const ${dt(src).cl} *p = in + (o * R + first) * inner + i;
        ${T} s = ${ID};
        for (size_t r = 0; r < many; ++r, p += inner) {
            const ${T} x = map1(${LOAD(1, "p")});
            s = ${C(1, "s", "x")};
        }
        ${STORE(1, "final1(s, scale)", "out + u")};
    }
}
% endif
