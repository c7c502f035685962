## Reduce one axis of a dense array seen as [outer, R, inner]: out[o, i] = final(op over r of map(in[o, r, i])).
##
## Kernels, chosen by the shape:
##   rows     inner == 1: R adjacent elements per result
##   columns  inner > 1: vectors lie along `inner`, the walk goes down the rows
##   wide     the same for inner >= 128 (cpu): eight rows at a time are added into accumulators in the cache,
##            so that memory is read in long runs
##   lanes    inner == 1, R < 16 (gpu): a row per item
##
## All but lanes may cut R into blocks (`chunks`), one partial result each; a second launch reduces the
## partials [outer, chunks, inner]. Cuts follow from sizes alone, and every sum is a fixed tree of vectors, so
## the bits never change from run to run.
##
##     rows      unit u = row * chunks + c                   -> out[u]
##     columns   unit u = (o * chunks + c) * strips + s      -> out[(o * chunks + c) * inner + 64 s ...]
##     wide      the same with strips of `width` columns
##
## schedule cpu: one work-item per group walks `per` adjacent units; vectors of 16, four accumulators. Sixteen
## results of rows are folded at once, halves on halves, and stored as a vector.
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

// Sixteen partial results of `len` adjacent elements. The tail is a full vector that ends at the last element;
// lanes that the loop has already taken count as the identity. A row of less than a vector is read past its
// end if `room` elements allow it.
__attribute__((always_inline))
inline ${T16} along(__global const ${dt(src).cl} *p, const size_t len, const size_t room)
{
    const ${T16} none = (${T16})(${ID});
    ${T16} s0 = none, s1 = none, s2 = none, s3 = none;
    if (len < 16) {
        const ${M16} own = (${M16})(${LANES}) < (${M16})((${dt(A).mask})len);
        if (room >= 16) return select(none, map16(${LOAD(16, "p")}), own);
        ${T} t[16];
        for (uint l = 0; l < 16; ++l) t[l] = ${LOAD(1, "p + min((size_t)l, len - 1)")};
        return select(none, map16(vload16(0, t)), own);
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
        s1 = both16(s1, select(none, map16(${LOAD(16, "p + len - 16")}), fresh));
    }
    return both16(both16(s0, s1), both16(s2, s3));
}

<%
## Halves of two vectors side by side; four times over, sixteen vectors become one of their sixteen trees.
def half(first, level):
    """Lanes of one half of each group of 16 / 2^level lanes of a vector."""
    size = 16 >> level
    return "".join("%x" % (g * size + first * size // 2 + i) for g in range(1 << level) for i in range(size // 2))
%>
% for level in range(4):
<% lo, hi = half(0, level), half(1, level) %>
inline ${T16} fold${level}(${T16} a, ${T16} b)
{
    return both16((${T16})(a.s${lo}, b.s${lo}), (${T16})(a.s${hi}, b.s${hi}));
}
% endfor

SOLO __kernel void rows(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong rows,
                        const ulong R, const ulong chunks, const ulong chunk, const ulong per, const ${T} scale)
{
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(rows * chunks)), n = rows * R;
    size_t row = u / chunks, c = u % chunks;
    while (u < end) {
        ${T16} t[16];
        const uint some = min((size_t)16, (size_t)(end - u));
        for (uint l = 0; l < some; ++l) {
            const size_t first = row * R + c * chunk;
            t[l] = along(in + first, min((size_t)chunk, (size_t)(R - c * chunk)), n - first);
            if (++c == chunks) { c = 0; ++row; }
        }
        for (uint l = some; l < 16; ++l) t[l] = t[0];
% for level in range(4):
% for k in range(8 >> level):
        t[${k}] = fold${level}(t[${2 * k}], t[${2 * k + 1}]);
% endfor
% endfor
        const ${T16} s = final16(t[0], scale);
        if (some == 16) {
            ${STORE(16, "s", "out + u")};
        } else {
            ${T} w[16];
            vstore16(s, 0, w);
            for (uint l = 0; l < some; ++l) ${STORE(1, "w[l]", "out + u + l")};
        }
        u += some;
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

// A unit is a strip of `width` <= 1024 columns (or what is left), its accumulators lie in t. What is no full
// vector at the end of a strip is a vector that ends there, with an accumulator of its own; only its last lanes
// are stored. The sum of a column is one chain, as in `columns`: written as a tree, PoCL's compiler splits the
// vectors into pairs.
SOLO __kernel void wide(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong outer,
                        const ulong R, const ulong inner, const ulong strips, const ulong chunks,
                        const ulong chunk, const ulong width, const ulong per, const ${T} scale)
{
    ${T16} t[65];
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * chunks * strips));
    for (; u < end; ++u) {
        const size_t s = u % strips, oc = u / strips, c = oc % chunks, o = oc / chunks;
        const size_t first = c * chunk, many = min((size_t)chunk, (size_t)(R - first));
        const size_t columns = min((size_t)width, (size_t)(inner - s * width));
        const size_t full = columns / 16, left = columns % 16, vectors = full + (left > 0);
        __global const ${dt(src).cl} *p = in + (o * R + first) * inner + s * width;
        __global ${dt(dst).cl} *q = out + oc * inner + s * width;
        for (size_t i = 0; i < vectors; ++i) t[i] = (${T16})(${ID});
        size_t r = 0;
        for (; r + 8 <= many; r += 8, p += 8 * inner) {
            for (size_t i = 0; i < vectors; ++i) {
                __global const ${dt(src).cl} *a = i < full ? p + 16 * i : p + columns - 16;
                ${T16} x = t[i];
% for k in range(8):
                x = both16(x, map16(${LOAD(16, f"a + {k} * inner")}));
% endfor
                t[i] = x;
            }
        }
        for (; r < many; ++r, p += inner) {
            for (size_t i = 0; i < vectors; ++i) {
                __global const ${dt(src).cl} *a = i < full ? p + 16 * i : p + columns - 16;
                const ${T16} x = map16(${LOAD(16, "a")});
                t[i] = both16(t[i], x);
            }
        }
        for (size_t i = 0; i < full; ++i) {
            const ${T16} x = final16(t[i], scale);
            ${STORE(16, "x", "q + 16 * i")};
        }
        if (left) {
            ${T} w[16];
            vstore16(final16(t[full], scale), 0, w);
            for (size_t l = 16 - left; l < 16; ++l) ${STORE(1, "w[l]", "q + columns - 16 + l")};
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
