## Scatter-add: rows of `updates` are added to the rows of a zeroed result that indices name.
##
##   out[o, sum_j index[q, j] * stride_j, i] += updates[o, q, i]     for q = 0, 1, ... in this order
##
## No atomics: every item owns a range of rows and of columns of the result, zeroes it, and walks all the
## indices in order, so that the sum of an element has one order whatever the number of items. An index
## outside [0, dim_j) adds nothing; unless `drop`, it also writes the error word.
##
## Params: dtype     dtype of updates; `out` has its compute type (float16 sums in float, `narrow` stores it)
##         index     "int" or "long", the type of the indices
##         drop      True: bad indices are not reported (unsorted_segment_sum's negative ids)
##         schedule  "cpu": an item is a strip of columns in vectors; "gpu": one column
##
## Arguments: out, updates, indices; word, op: error word and the op's number in it; parts: indices per row;
## dims: (dim_j, stride_j) of each, strides in rows; picks: rows of updates; rows, inner: rows and columns of
## an outer slice; range: rows of an item; ranges = ceil(rows / range); strip: columns of an item;
## strips = ceil(inner / strip); items = outer * ranges * strips.
<%
    d = dt(dtype)
    C = d.compute
    group = "SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"
%>
// Row of pick q, -1 when an index is bad.
long find(__global const ${index} *indices, ulong q, int parts, __global const long *dims, __global int *word, int op)
{
    long at = 0;
    for (int j = 0; j < parts; ++j) {
        const long i = indices[(size_t)(q * parts + j)];
        if (i < 0 || i >= dims[2 * j]) {
% if not drop:
            REPORT(word, op, i, dims[2 * j])
% endif
            return -1;
        }
        at += i * dims[2 * j + 1];
    }
    return at;
}

__kernel ${group} void scatter_add(__global ${C} *out, __global const ${d.cl} *updates,
    __global const ${index} *indices, __global int *word, int op, int parts, __global const long *dims, ulong picks,
    ulong rows, ulong inner, ulong range, ulong ranges, ulong strip, ulong strips, ulong items)
{
    for (ulong item = get_global_id(0); item < items; item += get_global_size(0)) {
        const ulong block = item / strips, c0 = (item - block * strips) * strip;
        const ulong o = block / ranges, r0 = (block - o * ranges) * range;
        const ulong r1 = min(r0 + range, rows), n = min(strip, inner - c0);
        __global ${C} *to = out + (size_t)(o * rows * inner + c0);
        __global const ${d.cl} *from = updates + (size_t)(o * picks * inner + c0);
        for (ulong r = r0; r < r1; ++r)
            for (ulong i = 0; i < n; ++i)
                to[(size_t)(r * inner + i)] = 0;
        for (ulong q = 0; q < picks; ++q) {
            const long r = find(indices, q, parts, dims, word, op);
            if (r < (long)r0 || r >= (long)r1)
                continue;
            __global ${C} *t = to + (size_t)((ulong)r * inner);
            __global const ${d.cl} *f = from + (size_t)(q * inner);
            size_t i = 0;
% if schedule == "cpu":
            for (; i + 16 <= n; i += 16)
                vstore16(vload16(0, t + i) + ${load(d, 16, "0", "f + i")}, 0, t + i);
% endif
            for (; i < n; ++i)
                t[i] += ${load1(d, "f", "i")};
        }
    }
}

% if d.cl != C:
// The sums of n elements, stored in the dtype.
__kernel ${group} void narrow(__global ${d.cl} *out, __global const ${C} *in, ulong n)
{
    const ulong items = get_global_size(0), share = (n + items - 1) / items;
    const ulong last = min(get_global_id(0) * share + share, n);
    for (ulong i = get_global_id(0) * share; i < last; ++i)
        ${store1(d, "in[i]", "out", "i")};
}
% endif
