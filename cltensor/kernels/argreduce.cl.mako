## Position of the first largest (op max) or smallest (op min) value along one axis of [outer, R, inner].
##
## The first of equal values wins, and the first NaN beats everything (NumPy's rule). Six kernels:
##   whole    inner == 1: one row of R >= 16 adjacent elements per result
##   rows     the same for long rows, cut into `chunks` pieces: value and position of each piece
##   lanes    inner == 1, R < 16: sixteen rows side by side, one per vector lane
##   columns  inner > 1: vectors lie along `inner`, the walk goes down the rows
##   parts    the same for long columns, cut into `chunks` pieces (cpu)
##   finish   the best of the pieces of a row or column, taken in order
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
from cltensor.kernels.accumulate import accumulator, better, identity, load_acc, LANES
%>
<%
A = accumulator(src)
T, T16, M, M16 = A.compute, A.compute + "16", A.mask, A.mask + "16"
def B(a, b): return better(op, A, a, b)
def LOAD(v, p): return load_acc(src, v, "0", p)
ID = identity(op, src)
def extreme(v, w):
    """The better of two vectors; a NaN in w is passed over."""
    return f"select({v}, {w}, {w} {'>' if op == 'max' else '<'} {v})" if A.is_floating else f"{op}({v}, {w})"
def hit(w, v):
    """Mask: w is v, or a NaN (v is one then)."""
    return f"(({w} == {v}) | ({w} != {w}))" if A.is_floating else f"({w} == {v})"
def ties(a, b):
    """a and b are equal as far as the order goes: equal numbers, or both NaN."""
    return f"(({a} == {b}) | (({a} != {a}) & ({b} != {b})))" if A.is_floating else f"({a} == {b})"
def wins(v, w, j, k):
    """Mask: the pair (w, k) comes before the pair (v, j)."""
    return f"{B(v, w)} | ({ties(v, w)} & ({k} < {j}))"
POS = dt(dst).cl
%>
% if schedule == "cpu":
#define ALWAYS __attribute__((always_inline)) inline

inline ${T} tree(${T16} v)
{
    const ${T}8 a = v.lo, b = v.hi, c = ${extreme("a", "b")};
    const ${T}4 d = c.lo, e = c.hi, f = ${extreme("d", "e")};
    const ${T}2 g = f.lo, h = f.hi, k = ${extreme("g", "h")};
    const ${T} m = k.x, n = k.y;
    return ${"n %s m ? n : m" % (">" if op == "max" else "<")};
}

// The extreme value of len >= 16 adjacent elements, NaN if there is one. The tail is a full vector that ends at
// the last element: seeing some twice does no harm.
ALWAYS ${T} extreme(__global const ${dt(src).cl} *p, const size_t len)
{
    ${T16} v0 = (${T16})(${ID}), v1 = v0, v2 = v0, v3 = v0;
% if A.is_floating:
    ${M16} odd = (${M16})(0);       // lanes in which a NaN went by: comparisons leave it out
% endif
    size_t i = 0;
    for (; i + 64 <= len; i += 64) {
% for k in range(4):
        const ${T16} w${k} = ${LOAD(16, f"p + i + {16 * k}")};
        v${k} = ${extreme(f"v{k}", f"w{k}")};
% endfor
% if A.is_floating:
        odd |= ((w0 != w0) | (w1 != w1)) | ((w2 != w2) | (w3 != w3));
% endif
    }
    for (; i < len; i += 16) {
        const ${T16} w = ${LOAD(16, "p + min(i, len - 16)")};
        v0 = ${extreme("v0", "w")};
% if A.is_floating:
        odd |= w != w;
% endif
    }
% if A.is_floating:
    if (any(odd)) return NAN;
% endif
    v0 = ${extreme("v0", "v1")};
    v2 = ${extreme("v2", "v3")};
    v0 = ${extreme("v0", "v2")};
    return tree(v0);
}

// The position of the first of len >= 16 elements that equals v, or is a NaN if v is one.
ALWAYS ${M} position(__global const ${dt(src).cl} *p, const size_t len, const ${T} v)
{
    const ${M16} lanes = (${M16})(${LANES});
    ${M16} j = (${M16})((${M})(len - 1));
    const ${T16} all = (${T16})(v);
    for (size_t i = 0; i < len; i += 16) {
        const size_t at = min(i, len - 16);
        const ${T16} w = ${LOAD(16, "p + at")};
        j = select(j, min(j, lanes + (${M16})((${M})at)), ${hit("w", "all")});
    }
    const ${M}8 a = min(j.lo, j.hi);
    const ${M}4 b = min(a.lo, a.hi);
    const ${M}2 c = min(b.lo, b.hi);
    return min(c.x, c.y);
}

// Values are compared block by block, which is quick; positions are looked for in the best block alone.
ALWAYS ${T} along(__global const ${dt(src).cl} *p, const size_t len, ${M} *best)
{
    if (len < 16) {
        ${T} v = ${LOAD(1, "p")};
        *best = 0;
        for (uint i = 1; i < len; ++i) {
            const ${T} w = ${LOAD(1, "p + i")};
            if (${B("v", "w")}) { v = w; *best = i; }
        }
        return v;
    }
    const size_t block = len < 8192 ? 256 : 1024;
    size_t start = 0, many = min(block, len);
    ${T} v = extreme(p, many);
    for (size_t i = block; i < len; i += block) {
        const size_t at = min(i, len - 16), n = min(block, len - at);
        const ${T} w = extreme(p + at, n);
        if (${B("v", "w")}) { v = w; start = at; many = n; }
    }
    *best = (${M})start + position(p + start, many, v);
    return v;
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

% for part in (False, True):
<%
def put(v, j, at, count):
    """Store `count` of sixteen results; of a part the values too, and positions in the whole column."""
    value = f"vstore16({v}, 0, a);" if part else ""
    keep = f"value[{at} + l] = a[l]; place[{at} + l] = (long)first + b[l];" if part else f"out[{at} + l] = b[l];"
    return f"""{value}
            vstore16({j}, 0, b);
            for (uint l = 0; l < {count}; ++l) {{ {keep} }}"""
%>
SOLO __kernel void ${"parts" if part else "columns"}(
    ${f"__global {T} *value, __global long *place" if part else f"__global {POS} *out"},
    __global const ${dt(src).cl} *in, const ulong outer, const ulong R, const ulong inner, const ulong strips,
    ${"const ulong chunks, const ulong chunk, " if part else ""}const ulong per)
{
    const size_t n = outer * R * inner;
% if not part:
    const size_t chunks = 1, chunk = R;
% endif
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * chunks * strips));
% if part:
    ${T} a[16];
% endif
    ${M} b[16];
    for (; u < end; ++u) {
        const size_t s = u % strips, oc = u / strips, c = oc % chunks, o = oc / chunks;
        const size_t first = c * chunk, steps = min((size_t)chunk, (size_t)(R - first));
        const size_t at = (o * R + first) * inner + s * 64, to = oc * inner + s * 64;
        const uint width = min((size_t)64, (size_t)(inner - s * 64));
        if (width == 64) {
            __global const ${dt(src).cl} *p = in + at;
% for k in range(4):
            ${T16} v${k} = ${LOAD(16, f"p + {16 * k}")};
            ${M16} j${k} = (${M16})(0);
% endfor
            for (size_t k = 1; k < steps; ++k) {
                p += inner;
% for k in range(4):
                {
                    const ${T16} w = ${LOAD(16, f"p + {16 * k}")};
                    const ${M16} m = ${B(f"v{k}", "w")};
                    v${k} = select(v${k}, w, m);
                    j${k} = select(j${k}, (${M16})((${M})k), m);
                }
% endfor
            }
% for k in range(4):
            ${put(f"v{k}", f"j{k}", f"to + {16 * k}", 16)}
% endfor
            continue;
        }
        for (uint x = 0; x < width; x += 16) {
            size_t p = at + x;
            ${T16} v = part(in, p, n);
            ${M16} j = (${M16})(0);
            for (size_t k = 1; k < steps; ++k) {
                p += inner;
                const ${T16} w = part(in, p, n);
                const ${M16} m = ${B("v", "w")};
                v = select(v, w, m);
                j = select(j, (${M16})((${M})k), m);
            }
            const uint left = min(16u, width - x);
            ${put("v", "j", "to + x", "left")}
        }
    }
}

% endfor
SOLO
% else:
#define TEAM __attribute__((reqd_work_group_size(64, 1, 1)))

// Positions have the width of the values (the mask type), so that one select serves both.
inline ${T} finish1(${T} v, ${M} j, ${T} w, ${M} k, ${M} *best)
{
    const int take = ${wins("v", "w", "j", "k")};
    *best = take ? k : j;
    return take ? w : v;
}

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
                     const ulong rows, const ulong chunks, const ulong inner, const ulong per)
{
% if schedule == "cpu":
    const size_t start = get_group_id(0) * per, end = min((size_t)(start + per), (size_t)(rows * inner)), step = 1;
% else:
    const size_t start = get_global_id(0), end = rows * inner, step = get_global_size(0);
% endif
    for (size_t r = start; r < end; r += step) {
        size_t k = r / inner * chunks * inner + r % inner;
        ${T} v = value[k];
        long j = place[k];
        for (size_t c = 1; c < chunks; ++c) {
            k += inner;
            const ${T} w = value[k];
            if (${B("v", "w")}) { v = w; j = place[k]; }
        }
        out[r] = j;
    }
}
