## Shared by the matmul templates: types, the multiply-add, batch addressing.
## Params: dtype (of A, B, C), v (lanes of a vector).
<%
    d = dt(dtype)
    # Integers multiply as unsigned: overflow wraps instead of being undefined, the low bits are the same.
    wrap = {"int32": "uint", "int64": "ulong"}
    T = X = wrap.get(dtype, d.compute)
    if dtype == "float16":
        T = "half"
%>\
#define T ${T}
// To copy without looking inside: half itself may not be assigned.
#define RAW ${'ushort' if T == 'half' else T}
#define X ${X}
#define XV ${vec(X, v)}
% if d.is_floating:
// Exactly rounded, so a result has the same bits on every device as long as k runs in order.
#define MAD(a, b, c) fma(a, b, c)
% else:
#define MAD(a, b, c) ((a) * (b) + (c))
% endif

// Which matrix of A and of B belongs to result matrix g. table = {r, dims[r], steps of A[r], steps of B[r]},
// steps counted in whole matrices, 0 along a dimension that broadcasts.
static inline void matrices_of(size_t g, __global const long *table, size_t *ia, size_t *ib)
{
    const int r = (int)table[0];
    size_t a = 0, b = 0;
    for (int i = r; i >= 1; i--) {
        const size_t d = (size_t)table[i], rest = g / d, c = g - rest * d;
        g = rest;
        a += c * (size_t)table[r + i];
        b += c * (size_t)table[2 * r + i];
    }
    *ia = a;
    *ib = b;
}
