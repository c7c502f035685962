## Running results along one axis of a dense array seen as [outer, R, inner].
##
##   kind sum      s = s + x[i]            (cumsum)
##   kind prod     s = s * x[i]            (cumprod)
##   kind linear   s = b[i] + x[i] * s     (linear recurrence; the gradient of cumprod is one)
##
## The result is s after element i, or before it where `exclusive` is 1. The walk starts at the identity (0,
## for prod 1) and goes from the last element to the first where `reverse` is 1. It is sequential along the axis,
## so the order of operations is the textbook's; the work is spread over outer and inner.
##
## Index: line (o, i) starts at o * R * inner + i, its elements are `inner` apart.
## schedule cpu: vectors of 16 adjacent lines (inner > 1), or line by line; schedule gpu: one line per item.
##
## Params
##   schedule  "cpu" or "gpu"
##   kind      "sum", "prod" or "linear"
##   dtype     of inputs and result; float16 is carried in float
<%!
from cltensor.kernels.accumulate import accumulator, combine, load_acc, store_acc
%>
<%
A = accumulator(dtype)
T, T16 = A.compute, A.compute + "16"
START = literal(A, 1 if kind == "prod" else 0)
def STEP(v):
    if kind == "linear":
        return combine("sum", A, v, "b", combine("prod", A, v, "x", "s"))
    return combine(kind, A, v, "s", "x")
def LOAD(v, p): return load_acc(dtype, v, "0", p)
def STORE(v, value, p): return store_acc(dtype, v, value, "0", p)
S = dt(dtype).cl
more = ", in2" if kind == "linear" else ""
params = f"__global {S} *out, __global const {S} *in" + (f", __global const {S} *in2" if more else "")
%>
inline void line(${params}, size_t p, const long step, const size_t R, const uint exclusive)
{
    ${T} s = ${START};
    for (size_t r = 0; r < R; ++r, p += step) {
        const ${T} x = ${LOAD(1, "in + p")}, before = s;
% if kind == "linear":
        const ${T} b = ${LOAD(1, "in2 + p")};
% endif
        s = ${STEP(1)};
        ${STORE(1, "exclusive ? before : s", "out + p")};
    }
}

% if schedule == "cpu":
SOLO
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
% endif
__kernel void scan(${params}, const ulong outer, const ulong R, const ulong inner, const ulong strips,
                   const ulong per, const uint exclusive, const uint reverse)
{
    const long step = reverse ? -(long)inner : (long)inner;
    const size_t last = reverse ? (R - 1) * inner : 0;
% if schedule == "cpu":
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), (size_t)(outer * strips));
    for (; u < end; ++u) {
        const size_t o = u / strips, first = (u % strips) * 16;
        size_t p = o * R * inner + first + last;
        const uint left = min((size_t)16, (size_t)(inner - first));
        if (left < 16) {
            for (uint l = 0; l < left; ++l) line(out, in${more}, p + l, step, R, exclusive);
            continue;
        }
        ${T16} s = (${T16})(${START});
        for (size_t r = 0; r < R; ++r, p += step) {
            const ${T16} x = ${LOAD(16, "in + p")}, before = s;
% if kind == "linear":
            const ${T16} b = ${LOAD(16, "in2 + p")};
% endif
            s = ${STEP(16)};
            if (exclusive) ${STORE(16, "before", "out + p")};
            else ${STORE(16, "s", "out + p")};
        }
    }
% else:
    const size_t lines = outer * inner;
    for (size_t u = get_global_id(0); u < lines; u += get_global_size(0))
        line(out, in${more}, (u / inner) * R * inner + u % inner + last, step, R, exclusive);
% endif
}
