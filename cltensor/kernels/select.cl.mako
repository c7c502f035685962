## The positions of the first few elements of each row in order, of [rows, n]: the k largest, mostly.
##
##     x      3  9  1  7  9  2 | 8  4  0  5  6  7          n elements in parts of `span`
##     part            1  4    |    6  11                  its first `count` positions, in order
##     row                  1  4                           the same over the positions that the parts found
##
## An item walks its elements in order and keeps the best positions in a sorted list: an element enters where its key
## (sort_key.cl.mako) is smaller than the last one's, so that of equal values the first stays first. In most runs of 16
## elements none is, which is found without a branch per element.
##
## Index: a unit is a part of a row; an item does `per` units. A part of fewer than `count` elements leaves -1 behind.
##
## Params
##   schedule    "cpu" or "gpu"
##   dtype       of the values
##   descending  largest first
##   count       elements wanted of each row
##   among       whether only the elements at given positions are looked at: those that the parts found
<%namespace name="order" file="sort_key.cl.mako"/>
<% T = dt(dtype).cl %>
${order.key(dtype, descending)}
% if schedule == "cpu":
SOLO
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
% endif
__kernel void first(__global int *to, __global const ${T} *x, ${"__global const int *from," if among else ""}
                    const ulong n, const ulong length, const ulong span, const ulong parts, const ulong units,
                    const ulong per)
{
    // of `length` candidates in a row of n
    const size_t begin = get_global_id(0) * per, end = min((size_t)(begin + per), (size_t)units);
    for (size_t u = begin; u < end; ++u) {
        const size_t row = u / parts, at = u % parts * span, stop = min((size_t)(at + span), (size_t)length);
        __global const ${T} *v = x + row * n;
        order_t best[${count}];
        int where[${count}];
        int have = 0;
        order_t last = 0;
        for (size_t i = at; i < stop;) {
            size_t some = min((size_t)16, stop - i);
% if not among:
            if (have == ${count} && some == 16) {
                int enters = 0;
                for (int l = 0; l < 16; ++l) enters |= key(v, i + l) < last;
                if (!enters) {
                    i += 16;
                    continue;
                }
            }
% endif
            for (; some > 0; --some, ++i) {
% if among:
                const int position = from[row * length + i];
                if (position < 0) continue;
% else:
                const int position = (int)i;
% endif
                const order_t k = key(v, position);
                if (have == ${count} && !(k < last)) continue;
                int j = have < ${count} ? have++ : ${count - 1};
                for (; j > 0 && k < best[j - 1]; --j) {
                    best[j] = best[j - 1];
                    where[j] = where[j - 1];
                }
                best[j] = k;
                where[j] = position;
                last = best[have - 1];
            }
        }
        for (int j = 0; j < ${count}; ++j) to[u * ${count} + j] = j < have ? where[j] : -1;
    }
}
