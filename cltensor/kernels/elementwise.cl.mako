## Elementwise: results = expression(inputs), with broadcasting.
##
## The result is walked as `rows` rows of `inner` adjacent elements; a row is cut into `blocks` blocks of
## `block` elements (the last may be short). One unit of work is one block of one row:
##
##     row 0   [ block 0 | block 1 | ... ]        result element (row, j) lies at row * inner + j
##     row 1   [ block 0 | block 1 | ... ]        input k reads at   off_k(row) + j * step_k
##
## step_k is 1, or 0 where input k is one value along the row. off_k follows from the row number over the
## `nd` outer dimensions in `table`: their sizes, then for each input its strides.
##
## schedule cpu: one work-item per group owns `per` adjacent units and walks them with vectors of 16.
## Results that no cache holds go past the caches (`past`): a line that is written whole need not be read before, a third
## of the traffic of an addition.
## schedule gpu: a unit is one vector of 4; units are dealt to work-items in a grid-stride loop.
##
## Where an input or a result is a piece of a larger array, `table` also says where the pieces begin; results that are
## (`placed`) follow the inputs there, and their element (row, j) lies at to_k(row) + j.
##
## Params
##   schedule   "cpu" or "gpu"
##   inputs     (dtype, is_slot) per input: slots are scalar arguments, known only at the call
##   lines      C statements computing v<k> from v0 .. v<inputs-1>
##   outputs    (value number, dtype) per result
##   placed     per result, whether it is a piece of a larger array; () if none is. Several may be pieces of one.
##   offsets    whether inputs and placed results begin at offsets, which follow in `table`
##   periodic   per tensor, whether it repeats along the (then flat) result with period `period`, a short row; () if
##              none does. A periodic tensor is unrolled into a private array once per work-item, from which a
##              vector is one load, at the phase of its first element.
<%namespace name="words" file="statements.cl.mako"/>
<%
V = 16 if schedule == "cpu" else 4
tensors = [(i, d) for i, (d, slot) in enumerate(inputs) if not slot]
slots = [(i, d) for i, (d, slot) in enumerate(inputs) if slot]
cpu = schedule == "cpu"
repeats = [(i, d) for (i, d), r in zip(tensors, periodic) if r]
def passes(d): return cpu and dt(d).size >= 4
# what walks the rows by strides of its own: the inputs, then the placed results
walks = [f"off{i}" for i, d in tensors] + [f"to{k}" for k, p in enumerate(placed) if p]
def start(n): return f"table[{len(walks) + 1} * nd + {n}]" if offsets else "0"
def target(k): return f"o{k} + to{k} + j" if placed and placed[k] else f"o{k} + at + j"
%>
${words.needs(lines, V)}
% if cpu:
#if defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define STORE_PAST(value, pointer) __builtin_nontemporal_store(value, pointer)
#endif
#endif
#ifndef STORE_PAST
#define STORE_PAST(value, pointer) *(pointer) = value
#endif

% endif
<%def name="compute()">
% for line in lines:
        ${line}
% endfor
</%def>
% if cpu:
SOLO
% endif
__kernel void elementwise(
% for k, (value, d) in enumerate(outputs):
    __global ${dt(d).cl} *o${k},
% endfor
% for i, d in tensors:
    __global const ${dt(d).cl} *p${i},
% endfor
% for i, d in slots:
    const ${dt(d).compute} a${i},
% endfor
    const ulong inner, const ulong rows, const ulong blocks, const ulong block, const ulong per,
% for i, d in tensors:
    const uint step${i},
% endfor
${"    const uint past," if cpu else ""}
    const uint nd, __global const long *table${", const uint period" if repeats else ""})
{
% if repeats:
    const uint ahead = ${V} % period;
% for i, d in repeats:
    ${dt(d).compute} pattern${i}[${48 + V}];
    for (uint l = 0; l < period + ${V}; ++l) pattern${i}[l] = ${load1(d, f"p{i}", "l % period")};
% endfor
% endif
% for i, d in slots:
    const ${vec(dt(d).compute, V)} v${i} = (${vec(dt(d).compute, V)})(a${i});
% endfor
    const size_t units = rows * blocks;
% if cpu:
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), units);
    size_t row = u / blocks, b = u - row * blocks;
    // digits of the row number, and each input's offset; advanced like an odometer
    uint digit[16];
% for n, walk in enumerate(walks):
    size_t ${walk} = ${start(n)};
% endfor
    size_t rest = row;
    for (uint k = nd; k-- > 0;) {
        const size_t whole = rest / table[k];
        digit[k] = rest - whole * table[k];     // one division: a / b beside a % b stops the checking device
        rest = whole;
% for n, walk in enumerate(walks):
        ${walk} += digit[k] * table[${n + 1} * nd + k];
% endfor
    }
    for (; u < end; ++u) {
% else:
    for (size_t u = get_global_id(0); u < units; u += get_global_size(0)) {
        const size_t row = u / blocks, b = u - row * blocks;
% for n, walk in enumerate(walks):
        size_t ${walk} = ${start(n)};
% endfor
        size_t rest = row;
        for (uint k = nd; k-- > 0;) {
            const size_t whole = rest / table[k], digit = rest - whole * table[k];
            rest = whole;
% for n, walk in enumerate(walks):
            ${walk} += digit * table[${n + 1} * nd + k];
% endfor
        }
% endif
        size_t j = b * block;
        const size_t stop = min((size_t)(j + block), (size_t)inner);
        const size_t at = row * inner;
% if repeats:
        uint phase = j % period;
% endif
        for (; j + ${V} <= stop; j += ${V}) {
% for i, d in tensors:
% if (i, d) in repeats:
            const ${vec(dt(d).compute, V)} v${i} = vload${V}(0, pattern${i} + phase);
<% continue %>
% endif
            ${vec(dt(d).compute, V)} v${i};
            if (step${i}) v${i} = ${load(d, V, "0", f"p{i} + off{i} + j")};
            else v${i} = ${splat(d, V, load1(d, f"p{i}", f"off{i}"))};
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
% if passes(d) and not placed:
            if (past) STORE_PAST(v${value}, (__global ${vec(dt(d).cl, V)} *)(${target(k)}));
            else ${store(d, V, f"v{value}", "0", target(k))};
% else:
            ${store(d, V, f"v{value}", "0", target(k))};
% endif
% endfor
% if repeats:
            phase += ahead;
            if (phase >= period) phase -= period;
% endif
        }
        if (j < stop) {     // the tail, padded to a full vector: the scalar forms of exp etc. round differently
            const uint left = stop - j;
% for i, d in tensors:
% if (i, d) in repeats:
            const ${vec(dt(d).compute, V)} v${i} = vload${V}(0, pattern${i} + phase);
<% continue %>
% endif
            ${dt(d).compute} t${i}[${V}];
            for (uint l = 0; l < ${V}; ++l) t${i}[l] = l < left ? ${load1(d, f"p{i}", f"off{i} + (j + l) * step{i}")} : 0;
            ${vec(dt(d).compute, V)} v${i} = vload${V}(0, t${i});
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
            ${dt(d).compute} r${k}[${V}];
            vstore${V}(v${value}, 0, r${k});
            for (uint l = 0; l < left; ++l) ${store1(d, f"r{k}[l]", target(k), "l")};
% endfor
        }
% if cpu:
        if (++b == blocks) {
            b = 0;
            ++row;
            for (uint k = nd; k-- > 0;) {
% for n, walk in enumerate(walks):
                ${walk} += table[${n + 1} * nd + k];
% endfor
                if (++digit[k] < table[k]) break;
% for n, walk in enumerate(walks):
                ${walk} -= table[k] * table[${n + 1} * nd + k];
% endfor
                digit[k] = 0;
            }
        }
% endif
    }
}
