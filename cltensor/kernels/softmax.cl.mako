## Softmax over the last axis, and what is computed from it, on a [rows, C] array of logits x.
##
##     m = max_j x[r, j]      s = sum_j exp(x[r, j] - m)      p[r, j] = exp(x[r, j] - m) / s
##
##   kind         inputs              result
##   softmax      x                   p[r, j]
##   log_softmax  x                   x[r, j] - m - log(s)
##   dense        y, x                loss[r] = sum_j y[r, j] * (log(s) - (x[r, j] - m))
##   sparse       label, x            loss[r] = log(s) - (x[r, label[r]] - m)
##   dense_grad   y, x, g             g[r] * (p[r, j] * sum_k y[r, k] - y[r, j])
##   sparse_grad  label, x, g         g[r] * (p[r, j] - (j == label[r]))
##
## Subtracting m keeps logits of +-1000 finite. A label outside [0, C) is reported in the error word and
## counts as 0.
##
## schedule cpu: one work-item per group owns `per` adjacent rows (`rows`, C >= 16) or blocks of sixteen rows,
## one per vector lane (`lanes`, C < 16). A row is walked in vectors of 16; the tail is a full vector that ends
## at the last element, its lanes that were already counted add nothing to sums. While a row's exponentials keep the core
## busy, the next row is fetched: the caches' own prefetchers begin anew with each row.
## schedule gpu: 64 items share a row and end each sum in a local-memory tree.
##
## Params
##   schedule  "cpu" or "gpu"
##   fetch     whether the compiler's own functions may be used (a checking device knows OpenCL's only)
##   kind      see above
##   dtype     of x, y, g and the result; float16 is computed in float
##   label     dtype of the labels, int32 or int64 (kinds sparse, sparse_grad), else ""
<%!
from cltensor.kernels.accumulate import accumulator, load_acc, store_acc, LANES
%>
<%
A = accumulator(dtype)
T, T16, M, M16 = A.compute, A.compute + "16", A.mask, A.mask + "16"
S = dt(dtype).cl
sparse, dense, grad = kind.startswith("sparse"), kind.startswith("dense"), kind.endswith("grad")
loss = (sparse or dense) and not grad
params = f"__global {S} *out, __global const {S} *x"
if sparse: params += f", __global const {dt(label).cl} *label, __global int *word, const int opid"
if dense: params += f", __global const {S} *y"
if grad: params += f", __global const {S} *g"
def LOAD(v, p): return load_acc(dtype, v, "0", p)
def STORE(v, value, p): return store_acc(dtype, v, value, "0", p)
## a NaN need not survive the maximum, the sum of exponentials has it in any case
def bigger(v, a, b): return f"fmax({a}, {b})"
fresh_zero = f"select(({T16})(0), %s, fresh)"
## half storage rounds, so the first pass's exp() is not kept there but taken again
keep = kind == "softmax" and dt(dtype).name != "float16"
def result(v, j):
    """Sixteen results of columns j.. from logits v, in a row walked by vectors."""
    if kind == "softmax": return f"exp({v} - m) * inv"
    if kind == "log_softmax": return f"({v} - m) - ls"
    p = f"exp({v} - m) * inv"
    if dense: return f"gr * (({p}) * sy - {LOAD(16, f'y + r * C + {j}')})"
    hit = f"at + ({M16})(({M})({j})) == ({M16})(({M})k)"
    return f"gr * ({p} - select(({T16})(0), ({T16})(1), {hit}))"
%>
% if sparse:
inline size_t checked(const long k, const size_t r, const size_t C, __global int *word, const int opid)
{
    if (k >= 0 && k < (long)C) return k;
    REPORT(word, opid, k, C)
    return 0;
}

% endif
% if schedule == "cpu":
#if ${int(fetch)} && defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#define SOON(pointer) __builtin_prefetch((const __global void *)(pointer), 0, 3)
#endif
#endif
#ifndef SOON
#define SOON(pointer)
#endif

inline ${T16} big16(${T16} a, ${T16} b) { return ${bigger(16, "a", "b")}; }

inline ${T} tree_max(${T16} v)
{
    const ${T}8 a = v.lo, b = v.hi, c = ${bigger(8, "a", "b")};
    const ${T}4 d = c.lo, e = c.hi, f = ${bigger(4, "d", "e")};
    const ${T}2 h = f.lo, i = f.hi, k = ${bigger(2, "h", "i")};
    return ${bigger(1, "k.x", "k.y")};
}

inline ${T} tree_sum(${T16} v)
{
    const ${T}8 a = v.lo + v.hi;
    const ${T}4 b = a.lo + a.hi;
    const ${T}2 c = b.lo + b.hi;
    return c.x + c.y;
}

SOLO __kernel void rows(${params}, const ulong rows, const ulong C, const ulong per)
{
    size_t r = get_group_id(0) * per;
    const size_t end = min((size_t)(r + per), (size_t)rows);
    const size_t body = C & ~(size_t)15, tail = C - 16, left = C - body;
    const ${M16} at = (${M16})(${LANES}), fresh = at >= (${M16})((${M})(16 - left));
    for (; r < end; ++r) {
        __global const ${S} *p = x + r * C;
% if not loss:
        __global ${S} *q = out + r * C;
% endif
        ${T16} v0 = ${LOAD(16, "p")}, v1 = v0;
        size_t i = 16;
        for (; i + 32 <= C; i += 32) {
            v0 = big16(v0, ${LOAD(16, "p + i")});
            v1 = big16(v1, ${LOAD(16, "p + i + 16")});
        }
        for (; i < body; i += 16) v0 = big16(v0, ${LOAD(16, "p + i")});
        const ${T} m = tree_max(big16(big16(v0, v1), ${LOAD(16, "p + tail")}));
        ${T16} s0 = (${T16})(0);
% if dense:
        ${T16} y0 = (${T16})(0), d0 = (${T16})(0);
% endif
        const size_t ahead = r + 1 < end ? C : 0;
        for (i = 0; i < body; i += 16) {
            SOON(p + ahead + i);
            const ${T16} z = ${LOAD(16, "p + i")} - m, e = exp(z);
% if keep:
            ${STORE(16, "e", "q + i")};
% endif
            s0 += e;
% if dense:
            const ${T16} w = ${LOAD(16, "y + r * C + i")};
            y0 += w;
            d0 += w * z;
% endif
        }
        ${T16} etail = (${T16})(0);
        if (left) {
            const ${T16} ztail = ${LOAD(16, "p + tail")} - m;
            etail = exp(ztail);
            s0 += ${fresh_zero % "etail"};
% if dense:
            const ${T16} w = ${LOAD(16, "y + r * C + tail")};
            y0 += ${fresh_zero % "w"};
            d0 += ${fresh_zero % "(w * ztail)"};
% endif
        }
        const ${T} s = tree_sum(s0);
% if dense:
        const ${T} sy = tree_sum(y0), sd = tree_sum(d0);
% endif
% if sparse:
        const size_t k = checked(label[r], r, C, word, opid);
% endif
% if kind == "dense":
        // where all weight lies on finite terms this is sum y * (log s - z)
        const ${T} l = sy * log(s) - sd;
        ${STORE(1, "l", "out + r")};
% elif kind == "sparse":
        const ${T} z = ${LOAD(1, "p + k")} - m, l = log(s) - z;
        ${STORE(1, "l", "out + r")};
% else:
% if kind == "log_softmax":
        const ${T} ls = log(s);
% else:
        const ${T} inv = 1 / s;
% endif
% if grad:
        const ${T} gr = ${LOAD(1, "g + r")};
% endif
% if keep:
        for (i = 0; i < body; i += 16) ${STORE(16, f"{LOAD(16, 'q + i')} * inv", "q + i")};
        if (left) ${STORE(16, "etail * inv", "q + tail")};
% else:
        for (i = 0; i < body; i += 16) {
            const ${T16} v = ${LOAD(16, "p + i")};
            const ${T16} o = ${result("v", "i")};
            ${STORE(16, "o", "q + i")};
        }
        if (left) {
            const ${T16} v = ${LOAD(16, "p + tail")};
            const ${T16} o = ${result("v", "tail")};
            ${STORE(16, "o", "q + tail")};
        }
% endif
% endif
    }
}

// Sixteen rows of C < 16 logits side by side: t[16 j + l] is x[r + l, j].
SOLO __kernel void lanes(${params}, const ulong rows, const ulong C, const ulong per)
{
    size_t r = get_group_id(0) * per * 16;
    const size_t end = min((size_t)(r + per * 16), (size_t)rows);
    for (; r < end; r += 16) {
        const uint left = min((size_t)16, (size_t)(end - r));
        ${T} t[256];
        for (uint l = 0; l < 16; ++l)
            for (size_t j = 0; j < C; ++j) t[16 * j + l] = ${LOAD(1, "x + (r + min(l, left - 1)) * C + j")};
        ${T16} m = vload16(0, t);
        for (size_t j = 1; j < C; ++j) m = big16(m, vload16(j, t));
        ${T16} s = (${T16})(0);
% if dense:
        ${T16} sy = (${T16})(0), sd = (${T16})(0);
        ${T} u[256];
        for (uint l = 0; l < 16; ++l)
            for (size_t j = 0; j < C; ++j) u[16 * j + l] = ${LOAD(1, "y + (r + min(l, left - 1)) * C + j")};
% endif
        for (size_t j = 0; j < C; ++j) {
            const ${T16} z = vload16(j, t) - m;
% if dense:
            const ${T16} w = vload16(j, u);
            sy += w;
            sd += w * z;
% endif
% if kind == "log_softmax" or kind == "sparse":
            s += exp(z);
            vstore16(z, j, t);
% else:
            const ${T16} e = exp(z);
            s += e;
            vstore16(e, j, t);
% endif
        }
% if grad:
        ${T} gr[16];
        for (uint l = 0; l < 16; ++l) gr[l] = ${LOAD(1, "g + r + min(l, left - 1)")};
        const ${T16} g16 = vload16(0, gr);
% endif
% if sparse:
        size_t k[16];
        for (uint l = 0; l < left; ++l) k[l] = checked(label[r + l], r + l, C, word, opid);
        for (uint l = left; l < 16; ++l) k[l] = 0;
% endif
% if loss:
        ${T} o[16];
% if kind == "dense":
        vstore16(sy * log(s) - sd, 0, o);
% else:
        for (uint l = 0; l < 16; ++l) o[l] = t[16 * k[l] + l];
        vstore16(log(s) - vload16(0, o), 0, o);
% endif
        for (uint l = 0; l < left; ++l) ${STORE(1, "o[l]", "out + r + l")};
% else:
% if kind == "log_softmax":
        const ${T16} ls = log(s);
        for (size_t j = 0; j < C; ++j) vstore16(vload16(j, t) - ls, j, t);
% else:
        const ${T16} inv = 1 / s;
        for (size_t j = 0; j < C; ++j) {
            ${T16} o = vload16(j, t) * inv;
% if kind == "dense_grad":
            o = g16 * (o * sy - vload16(j, u));
% elif kind == "sparse_grad":
            ${T} hit[16];
            for (uint l = 0; l < 16; ++l) hit[l] = k[l] == j;
            o = g16 * (o - vload16(0, hit));
% endif
            vstore16(o, j, t);
        }
% endif
        for (uint l = 0; l < left; ++l)
            for (size_t j = 0; j < C; ++j) ${STORE(1, "t[16 * j + l]", "out + (r + l) * C + j")};
% endif
    }
}
% else:
inline ${T} team(${T} v, const int add, __local ${T} *share)
{
    const uint id = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    share[id] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_ = 32; half_ > 0; half_ >>= 1) {
        if (id < half_) {
            const ${T} a = share[id], b = share[id + half_];
            share[id] = add ? a + b : ${bigger(1, "a", "b")};
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return share[0];
}

__attribute__((reqd_work_group_size(64, 1, 1)))
__kernel void rows(${params}, const ulong rows, const ulong C, const ulong per)
{
    __local ${T} share[64];
    const uint id = get_local_id(0);
    for (size_t r = get_group_id(0); r < rows; r += get_num_groups(0)) {
        __global const ${S} *p = x + r * C;
        ${T} m = -INFINITY;
        for (size_t j = id; j < C; j += 64) {
            const ${T} v = ${LOAD(1, "p + j")};
            m = ${bigger(1, "m", "v")};
        }
        m = team(m, 0, share);
        ${T} s = 0;
% if dense:
        ${T} sy = 0, sd = 0;
% endif
        for (size_t j = id; j < C; j += 64) {
            const ${T} z = ${LOAD(1, "p + j")} - m;
            s += exp(z);
% if dense:
            const ${T} w = ${LOAD(1, "y + r * C + j")};
            sy += w;
            sd += w * z;
% endif
        }
        s = team(s, 1, share);
% if dense:
        sy = team(sy, 1, share);
        sd = team(sd, 1, share);
% endif
% if sparse:
        size_t k = 0;
        if (id == 0) k = checked(label[r], r, C, word, opid);
        else k = label[r] >= 0 && label[r] < (long)C ? label[r] : 0;
% endif
% if kind == "dense":
        if (id == 0) {
            const ${T} l = sy * log(s) - sd;
            ${STORE(1, "l", "out + r")};
        }
% elif kind == "sparse":
        if (id == 0) {
            const ${T} l = log(s) - (${LOAD(1, "p + k")} - m);
            ${STORE(1, "l", "out + r")};
        }
% else:
% if grad:
        const ${T} gr = ${LOAD(1, "g + r")};
% endif
        for (size_t j = id; j < C; j += 64) {
            const ${T} z = ${LOAD(1, "p + j")} - m;
% if kind == "softmax":
            const ${T} o = exp(z) / s;
% elif kind == "log_softmax":
            const ${T} o = z - log(s);
% elif kind == "dense_grad":
            const ${T} o = gr * (exp(z) / s * sy - ${LOAD(1, "y + r * C + j")});
% else:
            const ${T} o = gr * (exp(z) / s - (j == k ? 1 : 0));
% endif
            ${STORE(1, "o", "out + r * C + j")};
        }
% endif
    }
}
% endif
