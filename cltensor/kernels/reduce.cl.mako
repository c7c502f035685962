## Reduce the last axis of a dense array seen as [rows, R]: out[r] = final(op over j of map(in[r, j])).
##
## Kernels, chosen by the shape:
##   rows     a row, or a piece of one, per result
##   whole    a few long rows (cpu): cut into pieces, and whoever ends last puts the pieces together
##   lanes    R < 16 (gpu): a row per item
##
## Rows may be cut into blocks (`chunks`), one partial result each. Either a second launch reduces the partials
## [rows, chunks], or (`whole`) they lie in the queue's tally: word 0 counts the groups that are done, partials follow
## it. The last group finds all others' partials there, which only atomic functions have touched, takes them in order,
## and leaves the count at zero. No group waits for another, so any order of groups will do. Cuts follow from sizes
## alone, and every sum is a fixed tree of vectors, so the bits never change from run to run.
##
## schedule cpu: one work-item per group walks `per` adjacent units, u = row * chunks + c; vectors of 16, four
## accumulators. Rows of a cache line and more are walked ABREAST at a time: the caches' prefetchers follow several
## runs of memory better than one. Sixteen results are folded at once, halves on halves, and stored as a vector.
## Rows of two to four elements are gathered sixteen at a time, and added as the lanes of a fold would be.
## schedule gpu: 64 items share a row and end in a local-memory tree, or take one row each.
##
## Tuned (kernels/tuning.py, here and in reduce_columns.cl.mako): `grain` and `groups` set how many units an item gets, in
## all but whole. They never move a cut, so they change no bits.
##
## Params
##   schedule  "cpu" or "gpu"
##   op        "sum", "prod", "max" or "min"
##   src, dst  dtypes read and written
##   map       C expression of x, applied to each element first
##   before    () or (statements over v0, number of their result), what is done in place of map: over whole vectors, as
##             the elementwise kernels do it, for its bits
##   final     C expression of x and scale, applied to each result; scale is an argument
<%!
from cltensor.kernels.accumulate import accumulator, combine, identity, load_acc, store_acc, LANES
%>
<%namespace name="parts" file="reduce_words.cl.mako"/>
<%
A = accumulator(src)
T, T16, M16 = A.compute, A.compute + "16", A.mask + "16"
ID = identity(op, src)
ABREAST = 4 if A.size == 4 else 2       # accumulators that fit the registers
def C(v, a, b): return combine(op, A, v, a, b)
def LOAD(v, p): return load_acc(src, v, "0", p)
def STORE(v, value, p): return store_acc(dst, v, value, "0", p)
%>
${parts.needs(schedule, op, src, map, final, before)}
% if schedule == "cpu":
// What follows the last 64 elements of a row of len >= 16: whole vectors, and a vector that ends at the last
// element, whose lanes that were already taken count as the identity. `s` holds the four accumulators so far.
#define REST(s, p, i, len) \
    size_t j = i; \
    for (; j + 16 <= len; j += 16) s##0 = both16(s##0, map16(${LOAD(16, "p + j")})); \
    if (j < len) { \
        const ${M16} fresh = (${M16})(${LANES}) >= (${M16})((${dt(A).mask})(16 - (len - j))); \
        s##1 = both16(s##1, select(none, map16(${LOAD(16, "p + len - 16")}), fresh)); \
    }

// Sixteen partial results of `len` adjacent elements. A row of less than a vector is read past its end if `room`
// elements allow it.
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
    REST(s, p, i, len)
    return both16(both16(s0, s1), both16(s2, s3));
}

// The same of ${ABREAST} runs of len >= 16 elements, `apart` from each other.
inline void abreast(__global const ${dt(src).cl} *p, const size_t apart, const size_t len, ${T16} *t)
{
    const ${T16} none = (${T16})(${ID});
% for r in range(ABREAST):
    ${T16} s${r}0 = none, s${r}1 = none, s${r}2 = none, s${r}3 = none;
    __global const ${dt(src).cl} *p${r} = p + ${r} * apart;
% endfor
    size_t i = 0;
    for (; i + 64 <= len; i += 64) {
% for r in range(ABREAST):
% for k in range(4):
        s${r}${k} = both16(s${r}${k}, map16(${LOAD(16, f"p{r} + i + {16 * k}")}));
% endfor
% endfor
    }
% for r in range(ABREAST):
    {
        REST(s${r}, p${r}, i, len)
        t[${r}] = both16(both16(s${r}0, s${r}1), both16(s${r}2, s${r}3));
    }
% endfor
}

// One element of each of sixteen rows.
<% lanes = ", ".join(LOAD(1, f"p + {l} * R") for l in range(16)) %>
inline ${T16} down(__global const ${dt(src).cl} *p, const size_t R)
{
    return ${"(%s)(0) + " % T16 if op == "sum" and A.is_floating else ""}map16((${T16})(${lanes}));    // 0 + -0 is 0
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
        const uint some = min((size_t)16, (size_t)(end - u));
        if (some == 16 && R <= 4) {
            __global const ${dt(src).cl} *p = in + u * R;
            ${T16} s = down(p, R);
            if (R > 1) {
                ${T16} odd = down(p + 1, R);
                if (R > 2) s = both16(s, down(p + 2, R));
                if (R > 3) odd = both16(odd, down(p + 3, R));
                s = both16(s, odd);
            }
            s = final16(s, scale);
            ${STORE(16, "s", "out + u")};
            u += 16;
            continue;
        }
        ${T16} t[16];
        uint l = 0;
        if (chunks == 1) {
            if (R >= 64)
                for (; l + ${ABREAST} <= some; l += ${ABREAST}) abreast(in + (u + l) * R, R, R, t + l);
            for (; l < some; ++l) t[l] = along(in + (u + l) * R, R, n - (u + l) * R);
        }
        for (; l < some; ++l) {
            const size_t first = row * R + c * chunk;
            t[l] = along(in + first, min((size_t)chunk, (size_t)(R - c * chunk)), n - first);
            if (++c == chunks) { c = 0; ++row; }
        }
        for (l = some; l < 16; ++l) t[l] = t[0];
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
            for (l = 0; l < some; ++l) ${STORE(1, "w[l]", "out + u + l")};
        }
        u += some;
    }
}
% if A.size == 4:

inline ${T} tree(${T16} v)
{
    const ${T}8 a = v.lo, b = v.hi, c = ${C(8, "a", "b")};
    const ${T}4 d = c.lo, e = c.hi, f = ${C(4, "d", "e")};
    const ${T}2 g = f.lo, h = f.hi, i = ${C(2, "g", "h")};
    const ${T} j = i.x, k = i.y;
    return ${C(1, "j", "k")};
}

// At most 63 units; the order of the last step is that of `along` over the partials.
SOLO __kernel void whole(__global ${dt(dst).cl} *out, __global const ${dt(src).cl} *in, __global int *tally,
                         const ulong rows, const ulong R, const ulong chunks, const ulong chunk, const ulong per,
                         const ${T} scale)
{
    const size_t units = rows * chunks;
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), units);
    if (units == 0) return;
    while (u < end) {
        ${T16} t[${ABREAST}];
        const size_t row = u / chunks, c = u - row * chunks, left = R - c * chunk;
        const uint some = u + ${ABREAST} <= end && ${ABREAST} * chunk <= left ? ${ABREAST} : 1;
        __global const ${dt(src).cl} *p = in + row * R + c * chunk;
        if (some == 1) t[0] = along(p, min((size_t)chunk, left), left);
        else abreast(p, chunk, chunk, t);
        for (uint l = 0; l < some; ++l) atomic_xchg(tally + 1 + u + l, as_int(tree(t[l])));
        u += some;
    }
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    if (atomic_inc(tally) + 1 < (int)get_num_groups(0)) return;
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    atomic_xchg(tally, 0);
    for (size_t r = 0; r < rows; ++r) {
        const ${T16} none = (${T16})(${ID});
        ${T} w[64];
        ${T16} s0 = none, s1 = none;
        for (uint i = 0; i < chunks; ++i) w[i] = as_${T}(atomic_or(tally + 1 + r * chunks + i, 0));
        for (uint i = chunks; i < 64; ++i) w[i] = ${ID};
        if (chunks < 16) {
            s0 = vload16(0, w);
        } else {
            uint i = 0;
            for (; i + 16 <= chunks; i += 16) s0 = both16(s0, vload16(0, w + i));
            const ${M16} fresh = (${M16})(${LANES}) >= (${M16})((${dt(A).mask})(16 - (chunks - i)));
            if (i < chunks) s1 = both16(s1, select(none, vload16(0, w + chunks - 16), fresh));
            s0 = both16(both16(s0, s1), both16(none, none));
        }
        ${T} q[16];
        vstore16(final16((${T16})(tree(s0)), scale), 0, q);
        ${STORE(1, "q[0]", "out + r")};
    }
}
% endif
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
% endif
