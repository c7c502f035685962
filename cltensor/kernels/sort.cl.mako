## The order of the elements of each row, as positions: a stable merge sort of [rows, n].
##
##     runs    sorts runs of RUN positions by insertion                     x -> to
##     merge   merges neighbouring runs of `width` positions into one       from -> to, log2(n / RUN) launches
##
## Values are compared by their keys, see sort_key.cl.mako.
##
## Index: a unit is `span` positions of one row's result. Its item finds by a binary search how many of the positions
## before it come from the left run (the merge path of Odeh et al., 2012), and merges from there one by one.
## schedule cpu: long spans, a block of units per item; schedule gpu: short spans, one unit per item.
##
## Params
##   schedule    "cpu" or "gpu"
##   dtype       of the values
##   descending  largest first
##   run         RUN, a power of two
<%namespace name="order" file="sort_key.cl.mako"/>
<% T = dt(dtype).cl %>
${order.key(dtype, descending)}
% if schedule == "cpu":
SOLO
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
% endif
__kernel void runs(__global int *to, __global const ${T} *x, const ulong n, const ulong parts, const ulong units,
                   const ulong per)
{
    const size_t first = get_global_id(0) * per, end = min((size_t)(first + per), (size_t)units);
    for (size_t u = first; u < end; ++u) {
        const size_t row = u / parts * n, at = u % parts * ${run};
        const int count = (int)min((size_t)${run}, (size_t)(n - at));
        __global int *t = to + row + at;
        for (int i = 0; i < count; ++i) {
            const order_t k = key(x, row + at + i);
            int j = i;
            for (; j > 0 && k < key(x, row + t[j - 1]); --j) t[j] = t[j - 1];
            t[j] = (int)at + i;
        }
    }
}

% if schedule == "cpu":
SOLO
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
% endif
__kernel void merge(__global int *to, __global const int *from, __global const ${T} *x, const ulong n,
                    const ulong width, const ulong span, const ulong parts, const ulong units, const ulong per)
{
    const size_t begin = get_global_id(0) * per, end = min((size_t)(begin + per), (size_t)units);
    for (size_t u = begin; u < end; ++u) {
        const size_t row = u / parts * n, at = u % parts * span, base = at / (2 * width) * (2 * width);
        const size_t na = min((size_t)width, (size_t)(n - base)), nb = min((size_t)(2 * width), (size_t)(n - base)) - na;
        const size_t d = at - base, stop = min((size_t)(d + span), (size_t)(na + nb));
        __global const int *a = from + row + base, *b = a + na;
        __global const ${T} *v = x + row;
        size_t low = max((long)d - (long)nb, (long)0), high = min(d, na);
        while (low < high) {
            const size_t i = (low + high) / 2;
            if (key(v, b[d - 1 - i]) < key(v, a[i])) high = i; else low = i + 1;
        }
        size_t i = low, j = d - low;
        for (size_t o = d; o < stop; ++o) {
            const int left = i < na && (j >= nb || !(key(v, b[j]) < key(v, a[i])));
            to[row + base + o] = left ? a[i] : b[j];
            i += left;
            j += 1 - left;
        }
    }
}
