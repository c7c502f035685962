## Parts: several small arrays into one along an axis (joining), or out of it, in one launch.
##
##     whole   [ rows, total ]        row r of part k lies at r * total + start_k of the whole,
##     part k  [ rows, length_k ]     and at r * length_k of the part
##
## Elements are copied as they are, whatever they mean. A work-item owns `per` rows (cpu), or deals them with the
## others (gpu), and copies its share of all parts.
##
## Params
##   size      bytes of an element: 1, 2, 4, 8
##   count     number of parts
##   joining   True: parts into the whole; False: out of it
##   schedule  "cpu" or "gpu"
<% T = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size] %>
static void run(__global ${T} *to, __global const ${T} *from, const size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vstore16(vload16(0, from + i), 0, to + i);
    for (; i < n; ++i) to[i] = from[i];
}

${"SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"}
__kernel void parts(
% if joining:
    __global ${T} *whole,
% for k in range(count):
    __global const ${T} *p${k},
% endfor
% else:
% for k in range(count):
    __global ${T} *p${k},
% endfor
    __global const ${T} *whole,
% endif
% for k in range(count):
    const ulong length${k},
% endfor
    const ulong rows, const ulong total, const ulong per)
{
% if schedule == "cpu":
    const size_t first = get_group_id(0) * per, stop = min((size_t)(first + per), (size_t)rows);
    for (size_t r = first; r < stop; ++r) {
% else:
    for (size_t r = get_global_id(0); r < rows; r += get_global_size(0)) {
% endif
        size_t at = r * total;
% for k in range(count):
% if joining:
        run(whole + at, p${k} + r * length${k}, length${k});
% else:
        run(p${k} + r * length${k}, whole + at, length${k});
% endif
        at += length${k};
% endfor
    }
}
