## Strided copy: out[out_at + sum i_d * out_stride_d] = in[in_at + sum i_d * in_stride_d] for every index i.
##
## Transpose, slice, reverse, pad, concat, stack, split, tile and broadcast_to are this one copy. It moves
## bits, so it knows an element's size only. kernels/strided.py sorts the dimensions by output stride, drops
## and merges what it can, and passes what is left as
##
##   [outer dimensions ...] x columns x length     length: the innermost dimension of the output
##
## Params: size      bytes of an element: 1, 2, 4 or 8
##         schedule  "cpu": copy_rows, copy_any, copy_tile, blocks of units; "gpu": copy_any, copy_tile
##         wide      gpu: True when element numbers need 64 bits
##
## Arguments of every kernel: out, in; out_at, in_at: offsets in elements; outer: number of outer dimensions;
## dims: (size, in stride, out stride) of each, the fastest first; columns, column_in, column_out and length,
## length_in, length_out: size and strides of the two inner dimensions (strides may be negative or 0);
## segments, segment: the length is cut into that many pieces of that many elements; units: the number of
## (outer, column, segment) triples, which the cpu schedule splits over the work-groups.
<% T = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size] %>
<% N = "ulong" if schedule == "cpu" or wide else "uint" %>
<%def name="arguments()">__global ${T} *out, __global const ${T} *in, ulong out_at, ulong in_at,
        int outer, __global const long *dims, ulong columns_, long column_in, long column_out,
        ulong length_, long length_in, long length_out, ulong segments_, ulong segment_, ulong units_</%def>
// Offsets of number `at` of the outer dimensions.
void locate(${N} at, int outer, __global const long *dims, long *from, long *to)
{
    long f = 0, t = 0;
    for (int d = 0; d < outer; ++d) {
        const ${N} n = (${N})dims[3 * d];
        const ${N} rest = at / n;
        const long i = (long)(at - rest * n);
        f += i * dims[3 * d + 1];
        t += i * dims[3 * d + 2];
        at = rest;
    }
    *from = f;
    *to = t;
}

% if schedule == "cpu":
<%def name="walk(body)">
    const ulong columns = columns_, length = length_, segments = segments_, segment = segment_;
    const ulong group = get_group_id(0), groups = get_num_groups(0);
    const ulong share = units_ / groups, more = units_ - share * groups;
    const ulong first = group * share + min(group, more);
    const ulong last = first + share + (group < more ? 1 : 0);
    if (first >= last)
        return;
    const ulong row = first / segments;
    ulong s = first - row * segments, at = row / columns, j = row - at * columns;
    long from, to;
    locate(at, outer, dims, &from, &to);
    for (ulong u = first; u < last; ++u) {
        const ulong begin = s * segment;
        ulong n = min(segment, length - begin);
        ${body()}
        if (++s == segments) {
            s = 0;
            if (++j == columns) {
                j = 0;
                if (u + 1 < last)
                    locate(++at, outer, dims, &from, &to);
            }
        }
    }
</%def>
<%def name="row_body()">
        __global const ${T} *p = in + (size_t)((long)in_at + from + (long)j * column_in) + begin;
        __global ${T} *q = out + (size_t)((long)out_at + to + (long)j * column_out) + begin;
        if (n < 16) {
            for (ulong i = 0; i < n; ++i)
                q[i] = p[i];
        } else {
            // The last vector is moved back to end with the row: some elements are written twice.
            for (size_t i = 0; i + 16 <= n; i += 16)
                vstore16(vload16(0, p + i), 0, q + i);
            if (n & 15)
                vstore16(vload16(0, p + n - 16), 0, q + n - 16);
        }
</%def>
<%def name="any_body()">
        long f = (long)in_at + from + (long)j * column_in + (long)begin * length_in;
        long t = (long)out_at + to + (long)j * column_out + (long)begin * length_out;
        if (length_in == 0 && length_out == 1) {
            const ${T} value = in[(size_t)f];
            __global ${T} *q = out + (size_t)t;
            size_t i = 0;
            for (; i + 16 <= n; i += 16)
                vstore16((${T}16)(value), 0, q + i);
            for (; i < n; ++i)
                q[i] = value;
        } else {
            for (ulong i = 0; i < n; ++i) {
                out[(size_t)t] = in[(size_t)f];
                f += length_in;
                t += length_out;
            }
        }
</%def>
<%def name="tile_body()">
        // Column j of units is a strip of 16 columns; the last strip, and the last tile, are moved back
        // so that they are full. Both dimensions have at least 16 elements.
        const ulong strip = min(16 * j, wide_columns - 16);
        for (ulong i = 0; i < n; i += 16) {
            const ulong c = min(begin + i, length - 16);
            __global const ${T} *p = in + (size_t)((long)in_at + from + (long)c * length_in) + strip;
            __global ${T} *q = out + (size_t)((long)out_at + to + (long)strip * column_out) + c;
            % for k in range(16):
            const ${T}16 v${k} = vload16(0, p + ${k} * length_in);
            % endfor
            % for k in range(16):
            vstore16((${T}16)(${", ".join(f"v{m}.s{k:x}" for m in range(16))}), 0, q + ${k} * column_out);
            % endfor
        }
</%def>
// Both inner strides are 1.
__kernel SOLO void copy_rows(${arguments()})
{
    ${walk(row_body)}
}

// Any inner strides.
__kernel SOLO void copy_any(${arguments()})
{
    ${walk(any_body)}
}

// A transpose: the output is dense along `length`, the input along `columns`; 16 x 16 tiles in registers.
// `columns_` counts strips of 16 columns, wide_columns the columns.
__kernel SOLO void copy_tile(${arguments()}, ulong wide_columns)
{
    ${walk(tile_body)}
}
% else:
// Item i copies elements i, i + items, ...: neighbours write neighbouring elements.
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void copy_any(${arguments()})
{
    const ${N} columns = (${N})columns_, length = (${N})length_, total = (${N})units_;
    const ${N} step = (${N})get_global_size(0);
    for (${N} e = (${N})get_global_id(0); e < total;) {
        const ${N} row = e / length, i = e - row * length;
        const ${N} at = row / columns, j = row - at * columns;
        long from, to;
        locate(at, outer, dims, &from, &to);
        out[(size_t)((long)out_at + to + (long)j * column_out + (long)i * length_out)] =
            in[(size_t)((long)in_at + from + (long)j * column_in + (long)i * length_in)];
        if (total - e <= step)
            break;
        e += step;
    }
}

// A transpose by 32 x 32 tiles in local memory, so that reads and writes are both coalesced.
// `segments_`, `columns_` count tiles; length_ and wide_columns elements.
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void copy_tile(${arguments()}, ulong wide_columns)
{
    __local ${T} tile[32 * 33];
    const int x = (int)(get_local_id(0) & 31), y = (int)(get_local_id(0) >> 5);
    const ulong groups = get_num_groups(0);
    for (ulong u = get_group_id(0); u < units_; u += groups) {
        const ulong row = u / segments_, s = u - row * segments_;
        const ulong at = row / columns_, j = row - at * columns_;
        const long column = 32 * (long)j, c = 32 * (long)s;
        long from, to;
        locate((${N})at, outer, dims, &from, &to);
        from += (long)in_at;
        to += (long)out_at;
        for (int k = y; k < 32; k += 2)
            if (c + k < (long)length_ && column + x < (long)wide_columns)
                tile[k * 33 + x] = in[(size_t)(from + (c + k) * length_in + column + x)];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = y; k < 32; k += 2)
            if (c + x < (long)length_ && column + k < (long)wide_columns)
                out[(size_t)(to + (column + k) * column_out + c + x)] = tile[x * 33 + k];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
% endif
