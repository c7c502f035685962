## Scatter-add: rows of `updates` are added to the rows of a zeroed result that indices name.
##
##   out[o, sum_j index[q, j] * stride_j, i] += updates[o, q, i]     for q = 0, 1, ... in this order
##
## No atomics: every item owns a range of rows and of columns of a result, zeroes it, and walks the indices
## in order. Many more updates than rows are cut into chunks with a result each, which `combine` adds up in
## order; their number depends on the sizes only, so an element's sum has one order wherever it runs. An
## index outside [0, dim_j) adds nothing; unless `drop`, it also writes the error word.
##
## Params: dtype     dtype of updates; sums have its compute type (float16: float, which `combine` stores as half)
##         index     "int" or "long", the type of the indices
##         drop      True: bad indices are not reported (unsorted_segment_sum's negative ids)
##         schedule  "cpu": an item is a strip of columns in vectors; "gpu": one column
##
## Arguments: out, updates, indices; word, op: error word and the op's number in it; parts: indices per row;
## dims: (dim_j, stride_j) of each, strides in rows; picks: rows of updates; rows, inner: rows and columns of
## an outer slice; range: rows of an item; ranges = ceil(rows / range); strip: columns of an item;
## strips = ceil(inner / strip); chunk: updates of a chunk; chunks = ceil(picks / chunk); items = chunks * outer *
## ranges * strips. `sums` holds chunks results of outer * rows * inner elements.
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

__kernel ${group} void scatter_add(__global ${C} *sums, __global const ${d.cl} *updates,
    __global const ${index} *indices, __global int *word, int op, int parts, __global const long *dims, ulong picks,
    ulong rows, ulong inner, ulong range, ulong ranges, ulong strip, ulong strips, ulong chunk, ulong outer,
    ulong items)
{
    for (ulong item = get_global_id(0); item < items; item += get_global_size(0)) {
        const ulong block = item / strips, c0 = (item - block * strips) * strip;
        const ulong slice = block / ranges, r0 = (block - slice * ranges) * range;
        const ulong part = slice / outer, o = slice - part * outer;
        const ulong q1 = min(part * chunk + chunk, picks);
        const ulong r1 = min(r0 + range, rows), n = min(strip, inner - c0);
        __global ${C} *to = sums + (size_t)(slice * rows * inner + c0);
        __global const ${d.cl} *from = updates + (size_t)(o * picks * inner + c0);
        for (ulong r = r0; r < r1; ++r)
            for (ulong i = 0; i < n; ++i)
                to[(size_t)(r * inner + i)] = 0;
        for (ulong q = part * chunk; q < q1; ++q) {
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

// The results of all chunks, added in order; n: elements of one.
__kernel ${group} void combine(__global ${d.cl} *out, __global const ${C} *sums, ulong n, ulong chunks)
{
    const ulong items = get_global_size(0), vectors = n / 16, share = (vectors + items - 1) / items;
    const ulong item = get_global_id(0), last = min(item * share + share, vectors);
    for (ulong i = item * share; i < last; ++i) {
        ${vec(C, 16)} total = vload16((size_t)i, sums);
        for (ulong p = 1; p < chunks; ++p)
            total += vload16((size_t)i, sums + (size_t)(p * n));
        ${store(d, 16, "total", "(size_t)i", "out")};
    }
    if (item + 1 == items)
        for (ulong i = vectors * 16; i < n; ++i) {
            ${C} total = sums[(size_t)i];
            for (ulong p = 1; p < chunks; ++p)
                total += sums[(size_t)(p * n + i)];
            ${store1(d, "total", "out", "(size_t)i")};
        }
}
