## Fill: one value to n elements in a row (fill), or to n elements a stride apart (fill_strided).
##
## Params: dtype     dtype of the elements
##         schedule  "cpu": one contiguous block per work-group; "gpu": grid-stride
##
## Arguments: out; n: elements to write; value: in float or double for floating dtypes, long for the others
## (the caller sees to its range); at, stride: element `at + i * stride` is written for i in 0 ... n - 1.
<%
    d = dt(dtype)
    number = d.compute if d.is_floating else "long"
    cast = (lambda x: x) if d.is_floating else (lambda x: f"({d.cl})({x})")
    group = "SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"
%>
__kernel ${group} void fill(__global ${d.cl} *out, ulong n, ${number} value)
{
    const ${d.compute} v = ${cast("value")};
% if schedule == "cpu":
    // Blocks of whole vectors; the last group also writes the rest.
    const ulong vectors = n / 16, groups = get_num_groups(0), g = get_group_id(0);
    const ulong share = (vectors + groups - 1) / groups;
    const ulong last = min(g * share + share, vectors);
    for (ulong i = g * share; i < last; ++i)
        ${store(d, 16, splat(d, 16, "v"), "i", "out")};
    if (g + 1 == groups)
        for (ulong i = vectors * 16; i < n; ++i)
            ${store1(d, "v", "out", "i")};
% else:
    for (ulong i = get_global_id(0); i < n; i += get_global_size(0))
        ${store1(d, "v", "out", "i")};
% endif
}

__kernel ${group} void fill_strided(__global ${d.cl} *out, ulong at, long stride, ulong n, ${number} value)
{
    const ${d.compute} v = ${cast("value")};
    const ulong groups = get_global_size(0), share = (n + groups - 1) / groups;
    const ulong last = min(get_global_id(0) * share + share, n);
    for (ulong i = get_global_id(0) * share; i < last; ++i)
        ${store1(d, "v", "out", "(size_t)((long)at + (long)i * stride)")};
}
