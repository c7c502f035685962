## One-hot: out[o, d, i] = indices[o, i] == d ? on : off, for d < depth; an index outside is off everywhere.
##
## Params: size      bytes of an element: 1, 2, 4 or 8
##         index     "uchar", "int" or "long", the type of the indices
##         schedule  "cpu": an item owns a block of rows (o, d), or of o where inner is 1; "gpu": grid-stride
##
## Arguments: out, indices; depth; inner: indices per o; units: number of rows, or of o; on, off: the bits of the
## two values.
<%
    T = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size]
    group = "SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"
%>
__kernel ${group} void one_hot(__global ${T} *out, __global const ${index} *indices, ulong depth, ulong inner,
    ulong units, ulong on_, ulong off_)
{
    const ${T} on = (${T})on_, off = (${T})off_;
% if schedule == "cpu":
    const ulong g = get_group_id(0), share = (units + get_num_groups(0) - 1) / get_num_groups(0);
    const ulong last = min(g * share + share, units);
    if (inner == 1) {
        for (ulong r = g * share; r < last; ++r) {
            __global ${T} *to = out + (size_t)(r * depth);
            size_t i = 0;
            for (; i + 16 <= depth; i += 16)
                vstore16((${T}16)(off), 0, to + i);
            for (; i < depth; ++i)
                to[i] = off;
            const long at = (long)indices[(size_t)r];
            if (at >= 0 && at < (long)depth)
                to[(size_t)at] = on;
        }
        return;
    }
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
    for (ulong e = get_global_id(0); e < units * inner; e += get_global_size(0)) {
        const ulong r = e / inner, i = e - r * inner, o = r / depth;
        out[(size_t)e] = (long)indices[(size_t)(o * inner + i)] == (long)(r - o * depth) ? on : off;
    }
% endif
}
