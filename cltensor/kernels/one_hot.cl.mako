## One-hot: out[o, d, i] = indices[o, i] == d ? on : off, for d < depth; an index outside is off everywhere.
##
## Params: size      bytes of an element: 1, 2, 4 or 8
##         index     "uchar", "int" or "long", the type of the indices
##         schedule  "cpu": an item owns a block of rows (o, d); "gpu": grid-stride over elements
##
## Arguments: out, indices; depth; inner: indices per o; rows = outer * depth; on, off: the bits of the two values.
<%
    T = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size]
    group = "SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"
%>
__kernel ${group} void one_hot(__global ${T} *out, __global const ${index} *indices, ulong depth, ulong inner,
    ulong rows, ulong on_, ulong off_)
{
    const ${T} on = (${T})on_, off = (${T})off_;
% if schedule == "cpu":
    const ulong g = get_group_id(0), share = (rows + get_num_groups(0) - 1) / get_num_groups(0);
    const ulong last = min(g * share + share, rows);
    ulong o = g * share / depth, d = g * share - o * depth;
    for (ulong r = g * share; r < last; ++r) {
        for (ulong i = 0; i < inner; ++i)
            out[(size_t)(r * inner + i)] = (long)indices[(size_t)(o * inner + i)] == (long)d ? on : off;
        if (++d == depth) {
            d = 0;
            ++o;
        }
    }
% else:
    for (ulong e = get_global_id(0); e < rows * inner; e += get_global_size(0)) {
        const ulong r = e / inner, i = e - r * inner, o = r / depth;
        out[(size_t)e] = (long)indices[(size_t)(o * inner + i)] == (long)(r - o * depth) ? on : off;
    }
% endif
}
