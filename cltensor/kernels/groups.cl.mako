## Groups: one expression over several sets of arrays, each with a size of its own, in one launch.
##
##     work-groups  [ 0 .. end0 )   [ end0 .. end1 )   ...         set k is the work of its share of the work-groups
##     set k        its inputs, its results, n_k elements          no broadcasting: all arrays of a set are alike
##
## What an optimizer does to its many small variables is this. Bits are those of `elementwise`: the same vectors, and
## tails padded to them.
##
## schedule cpu: a work-group is one item, which walks a contiguous part of its set in vectors of 16.
## schedule gpu: vectors of 4 are dealt to the items of all of a set's work-groups in turn.
##
## Params
##   schedule   "cpu" or "gpu"
##   inputs     (dtype, is_slot) per input of the expression; slots are scalar arguments
##   lines      C statements computing v<k> from v0 .. v<inputs-1>
##   outputs    (value number, dtype) per result
##   sets       per set, which of the scalar arguments its slots are, in the order of the slots
<%namespace name="words" file="statements.cl.mako"/>
<%
V = 16 if schedule == "cpu" else 4
tensors = [(i, d) for i, (d, slot) in enumerate(inputs) if not slot]
slots = [(i, d) for i, (d, slot) in enumerate(inputs) if slot]
numbers = {}
for given in sets:
    for at, (i, d) in zip(given, slots):
        numbers[at] = dt(d).compute
%>
${words.needs(lines, V)}
<%def name="compute()">
% for line in lines:
        ${line}
% endfor
</%def>

static void work(
% for k, (value, d) in enumerate(outputs):
    __global ${dt(d).cl} *o${k},
% endfor
% for i, d in tensors:
    __global const ${dt(d).cl} *p${i},
% endfor
% for i, d in slots:
    const ${dt(d).compute} a${i},
% endfor
    const size_t n, const size_t part, const size_t parts)
{
    const size_t whole = n / ${V}, vectors = (n + ${V - 1}) / ${V};
% for i, d in slots:
    const ${vec(dt(d).compute, V)} v${i} = (${vec(dt(d).compute, V)})(a${i});
% endfor
% if schedule == "cpu":
    const size_t per = (vectors + parts - 1) / parts, stop = min((size_t)((part + 1) * per), vectors);
    for (size_t u = part * per; u < stop; ++u) {
% else:
    for (size_t u = part * 64 + get_local_id(0); u < vectors; u += parts * 64) {
% endif
        const size_t j = u * ${V};
        if (u < whole) {
% for i, d in tensors:
            const ${vec(dt(d).compute, V)} v${i} = ${load(d, V, "0", f"p{i} + j")};
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
            ${store(d, V, f"v{value}", "0", f"o{k} + j")};
% endfor
        } else {            // the tail, padded to a full vector
            const uint left = n - j;
% for i, d in tensors:
            ${dt(d).compute} t${i}[${V}];
            for (uint l = 0; l < ${V}; ++l) t${i}[l] = l < left ? ${load1(d, f"p{i}", "j + l")} : 0;
            const ${vec(dt(d).compute, V)} v${i} = vload${V}(0, t${i});
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
            ${dt(d).compute} r${k}[${V}];
            vstore${V}(v${value}, 0, r${k});
            for (uint l = 0; l < left; ++l) ${store1(d, f"r{k}[l]", f"o{k}", "j + l")};
% endfor
        }
    }
}

${"SOLO" if schedule == "cpu" else "__attribute__((reqd_work_group_size(64, 1, 1)))"}
__kernel void groups(
% for s in range(len(sets)):
% for k, (value, d) in enumerate(outputs):
    __global ${dt(d).cl} *o${s}_${k},
% endfor
% for i, d in tensors:
    __global const ${dt(d).cl} *p${s}_${i},
% endfor
    const ulong n${s}, const ulong end${s}${"" if s == len(sets) - 1 and not numbers else ","}
% endfor
% for at in sorted(numbers):
    const ${numbers[at]} b${at}${"" if at == max(numbers) else ","}
% endfor
    )
{
    const size_t g = get_group_id(0);
% for s, given in enumerate(sets):
<%
    own = [f"o{s}_{k}" for k in range(len(outputs))] + [f"p{s}_{i}" for i, _ in tensors] + [f"b{at}" for at in given]
    start = f"end{s - 1}" if s else "0"
%>\
    if (g >= ${start} && g < end${s}) work(${", ".join(own)}, n${s}, g - ${start}, end${s} - ${start});
% endfor
}
