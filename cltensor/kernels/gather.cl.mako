## Gather: rows of `in` picked by indices; with tuples of indices (gather_nd), slices.
##
##   out[o, q, i] = in[o * rows_stride + sum_j index[q, j] * stride_j + i]      i < inner
##
## for o < outer, q < picks, and `parts` indices per pick (1 for gather). It moves bits and knows an
## element's size only. An index outside [0, dim_j) writes the error word and reads row 0; with `drop` the
## row is zeros instead (the gradient of a segment sum, where negative ids belong to nobody).
##
## Params: size      bytes of an element: 1, 2, 4 or 8
##         index     "int" or "long", the type of the indices
##         drop      True: rows of bad indices are zeros, and nobody is told
##         schedule  "cpu": blocks of units; "gpu": grid-stride over elements
##
## Arguments: out, in, indices; word, op: error word and the op's number in it; parts; dims: (dim_j, stride_j)
## of each part, strides in elements; picks; inner; rows_stride: elements of one outer slice of `in`;
## segments, segment: `inner` is cut into that many pieces of that many elements; units: outer * picks * segments.
<% T = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size] %>
// Offset of pick q in its outer slice; -1 when it is dropped.
long find(__global const ${index} *indices, ulong q, int parts, __global const long *dims, __global int *word, int op)
{
    long at = 0;
    for (int j = 0; j < parts; ++j) {
        long i = indices[(size_t)(q * parts + j)];
        if (i < 0 || i >= dims[2 * j]) {
% if drop:
            return -1;
% else:
            REPORT(word, op, i, dims[2 * j])
            i = 0;
% endif
        }
        at += i * dims[2 * j + 1];
    }
    return at;
}

<% group = "SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))" %>
__kernel ${group} void gather(__global ${T} *out, __global const ${T} *in, __global const ${index} *indices,
    __global int *word, int op, int parts, __global const long *dims, ulong picks, ulong inner, ulong rows_stride,
    ulong segments, ulong segment, ulong units)
{
% if schedule == "cpu":
    const ulong g = get_group_id(0), groups = get_num_groups(0);
    const ulong share = units / groups, more = units - share * groups;
    const ulong first = g * share + min(g, more), last = first + share + (g < more ? 1 : 0);
    ulong row = first / segments, s = first - row * segments;
    ulong o = row / picks, q = row - o * picks;
    for (ulong u = first; u < last; ++u) {
        const ulong begin = s * segment, n = min(segment, inner - begin);
        const long at = find(indices, q, parts, dims, word, op);
        __global ${T} *to = out + (size_t)(row * inner + begin);
% if drop:
        if (at < 0)
            for (ulong i = 0; i < n; ++i)
                to[i] = 0;
        else
% endif
        {
            __global const ${T} *from = in + (size_t)(o * rows_stride + (ulong)at + begin);
            if (n < 16) {
                for (ulong i = 0; i < n; ++i)
                    to[i] = from[i];
            } else {
                // The last vector is moved back to end with the row: some elements are written twice.
                for (size_t i = 0; i + 16 <= n; i += 16)
                    vstore16(vload16(0, from + i), 0, to + i);
                if (n & 15)
                    vstore16(vload16(0, from + n - 16), 0, to + n - 16);
            }
        }
        if (++s == segments) {
            s = 0;
            ++row;
            if (++q == picks) {
                q = 0;
                ++o;
            }
        }
    }
% else:
    const ulong total = units / segments * inner;
    for (ulong e = get_global_id(0); e < total; e += get_global_size(0)) {
        const ulong row = e / inner, i = e - row * inner;
        const ulong o = row / picks, q = row - o * picks;
        const long at = find(indices, q, parts, dims, word, op);
% if drop:
        out[(size_t)e] = at < 0 ? (${T})0 : in[(size_t)(o * rows_stride + (ulong)max(at, (long)0) + i)];
% else:
        out[(size_t)e] = in[(size_t)(o * rows_stride + (ulong)at + i)];
% endif
    }
% endif
}
