## Reduce the middle axis of a dense array seen as [outer, R, inner]: out[o, i] = final(op over r of map(in[o, r, i])).
##
## Vectors lie along `inner`, the walk goes down the rows. Kernels, chosen by the shape:
##   columns  few rows, or schedule gpu
##   wide     inner >= 128 (cpu): eight rows at a time are added into accumulators in the cache, so that memory is
##            read in long runs
##   flat     inner < 128 (cpu): `fold` rows side by side count as one, so that vectors are full and memory is read in
##            long runs; at the end the accumulators of the same column are put together, halves on halves
##
## R may be cut into blocks (`chunks`), one partial result each; a second launch reduces the partials [outer, chunks,
## inner]. Cuts follow from sizes alone, so the bits never change from run to run.
##
##     columns   unit u = (o * chunks + c) * strips + s      -> out[(o * chunks + c) * inner + 64 s ...]
##     wide      the same with strips of `width` columns
##     flat      unit u = o * chunks + c                     -> out[u * inner ...]
##
## schedule cpu: one work-item per group walks `per` adjacent units; schedule gpu: an item per column.
##
## Params as in reduce.cl.mako
<%!
from cltensor.kernels.accumulate import accumulator, combine, identity, load_acc, store_acc, LANES
%>
<%namespace name="parts" file="reduce_words.cl.mako"/>
<%
A = accumulator(src)
T, T16, M16 = A.compute, A.compute + "16", A.mask + "16"
ID = identity(op, src)
def C(v, a, b): return combine(op, A, v, a, b)
def LOAD(v, p): return load_acc(src, v, "0", p)
def STORE(v, value, p): return store_acc(dst, v, value, "0", p)
%>
${parts.needs(schedule, op, src, map, final, before)}
% if schedule == "cpu":

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

// `fold` is a power of two, and fold * inner, at most 2048, a multiple of 16.
SOLO __kernel void flat(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, const ulong outer,
                        const ulong R, const ulong inner, const ulong fold, const ulong chunks, const ulong chunk,
                        const ulong per, const ${T} scale)
{
    ${T16} t[129];
    ${T} *column = (${T} *)t;
    const size_t width = fold * inner, vectors = width / 16;
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * chunks));
    for (; u < end; ++u) {
        const size_t o = u / chunks, first = (u - o * chunks) * chunk;
        size_t left = min((size_t)chunk, (size_t)(R - first)) * inner;
        __global const ${dt(src).cl} *p = in + (o * R + first) * inner;
        for (size_t i = 0; i <= vectors; ++i) t[i] = (${T16})(${ID});
        for (; left >= 8 * width; left -= 8 * width, p += 8 * width) {
            for (size_t i = 0; i < vectors; ++i) {
                __global const ${dt(src).cl} *a = p + 16 * i;
                ${T16} x = t[i];
% for k in range(8):
                x = both16(x, map16(${LOAD(16, f"a + {k} * width")}));
% endfor
                t[i] = x;
            }
        }
        while (left) {
            const size_t some = min(left, width);
            for (size_t i = 0; i < some / 16; ++i) t[i] = both16(t[i], map16(${LOAD(16, "p + 16 * i")}));
            if (some % 16) {
                const size_t at = some / 16 * 16;
                const ${M16} own = (${M16})(${LANES}) < (${M16})((${dt(A).mask})(some - at));
                ${T} w[16];
                for (uint l = 0; l < 16; ++l) w[l] = ${LOAD(1, "p + min((size_t)(at + l), (size_t)(some - 1))")};
                t[some / 16] = both16(t[some / 16], select((${T16})(${ID}), map16(vload16(0, w)), own));
            }
            left -= some;
            p += some;
        }
        // what a last vector computes beyond `half_` columns is not looked at again
        for (size_t half_ = width / 2; half_ >= inner; half_ /= 2)
            for (size_t i = 0; i < half_; i += 16)
                vstore16(both16(vload16(0, column + i), vload16(0, column + half_ + i)), 0, column + i);
        __global ${dt(dst).cl} *q = out + u * inner;
        for (size_t i = 0; i < inner; i += 16) {
            const ${T16} x = final16(vload16(0, column + i), scale);
            if (i + 16 <= inner) {
                ${STORE(16, "x", "q + i")};
            } else {
                ${T} w[16];
                vstore16(x, 0, w);
                for (size_t l = i; l < inner; ++l) ${STORE(1, "w[l - i]", "q + l")};
            }
        }
    }
}
% else:
#define TEAM __attribute__((reqd_work_group_size(64, 1, 1)))

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
