## A chain: expressions over n elements and full sums of their values in one walk. Nothing but the outputs is written.
##
##     [ group 0: `piece` elements ][ group 1 ] ...          cut as the sums of single ops are, see reduction.py
##
## A group walks its piece four vectors of 16 at a time; vector k of the four is added to accumulator k of each sum.
## What is left goes on in single vectors, the last one padded with zeros: the order of `rows` in reduce.cl.mako, so
## that sums have its bits.
##
## Params
##   inputs    (dtype, kind) of v0, v1, ...: "same" n elements; "slot" a scalar argument; "single" one element;
##             "walk": element e reads (e / run) % cycle
##   lines     C statements computing v<k> from v0 .. v<inputs-1>
##   outputs   (value number, dtype) per result that is written
##   sums      value numbers that are summed: part g goes to q[g], divided by scale
<%!
from cltensor.kernels.accumulate import LANES
%>
<%namespace name="words" file="statements.cl.mako"/>
<%
same = [(i, d) for i, (d, kind) in enumerate(inputs) if kind == "same"]
slots = [(i, d) for i, (d, kind) in enumerate(inputs) if kind == "slot"]
singles = [(i, d) for i, (d, kind) in enumerate(inputs) if kind == "single"]
walks = [(i, d) for i, (d, kind) in enumerate(inputs) if kind == "walk"]
def C16(d): return vec(dt(d).compute, 16)
%>
${words.needs(lines, 16)}

<%def name="load_walk(i, d)">
            ${dt(d).compute} f${i}[16];
            for (uint l = 0; l < 16; ++l) {
                f${i}[l] = ${load1(d, f"p{i}", f"k{i}")};
                if (++j${i} == run${i}) { j${i} = 0; if (++k${i} == cycle${i}) k${i} = 0; }
            }
            const ${C16(d)} v${i} = vload16(0, f${i});
</%def>
<%def name="compute()">
% for line in lines:
            ${line}
% endfor
</%def>

SOLO __kernel void chain(
% for k, (value, d) in enumerate(outputs):
    __global ${dt(d).cl} *o${k},
% endfor
% for k, (value, d) in enumerate(sums):
    __global ${dt(d).cl} *q${k}, const ${dt(d).compute} scale${k},
% endfor
% for i, (d, kind) in enumerate(inputs):
% if kind == "slot":
    const ${dt(d).compute} a${i},
% else:
    __global const ${dt(d).cl} *p${i},${f" const ulong run{i}, const ulong cycle{i}," if kind == "walk" else ""}
% endif
% endfor
    const ulong n, const ulong piece)
{
    const size_t g = get_group_id(0), first = min((size_t)(g * piece), (size_t)n);
    const size_t stop = min((size_t)(first + piece), (size_t)n);
% for i, d in slots:
    const ${C16(d)} v${i} = (${C16(d)})(a${i});
% endfor
% for i, d in singles:
    const ${C16(d)} v${i} = (${C16(d)})(${load1(d, f"p{i}", "0")});
% endfor
% for i, d in walks:
    size_t k${i} = first / run${i}, j${i} = first - k${i} * run${i};
    k${i} %= cycle${i};
% endfor
% for k, (value, d) in enumerate(sums):
    ${C16(d)} t${k}[4];
    for (uint w = 0; w < 4; ++w) t${k}[w] = (${C16(d)})(0);
% endfor
    size_t e = first;
    for (; e + 64 <= stop; e += 64) {
        for (uint w = 0; w < 4; ++w) {
            const size_t at = e + 16 * w;
% for i, d in same:
            const ${C16(d)} v${i} = ${load(d, 16, "0", f"p{i} + at")};
% endfor
% for i, d in walks:
            ${load_walk(i, d)}
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
            ${store(d, 16, f"v{value}", "0", f"o{k} + at")};
% endfor
% for k, (value, d) in enumerate(sums):
            t${k}[w] += v${value};
% endfor
        }
    }
    for (; e < stop; e += 16) {
        const uint left = min((size_t)16, (size_t)(stop - e));
% for i, d in same:
            ${dt(d).compute} f${i}[16];
            for (uint l = 0; l < 16; ++l) f${i}[l] = l < left ? ${load1(d, f"p{i}", "e + l")} : 0;
            const ${C16(d)} v${i} = vload16(0, f${i});
% endfor
% for i, d in walks:
            ${load_walk(i, d)}
% endfor
            ${compute()}
% for k, (value, d) in enumerate(outputs):
            ${dt(d).compute} r${k}[16];
            vstore16(v${value}, 0, r${k});
            for (uint l = 0; l < left; ++l) ${store1(d, f"r{k}[l]", f"o{k}", "e + l")};
% endfor
% for k, (value, d) in enumerate(sums):
            if (left == 16) {
                t${k}[0] += v${value};
            } else {    // at the end of a vector; a lone one begins at its first lane
                ${dt(d).compute} w${k}[32];
                const ${vec(dt(d).mask, 16)} own = (${vec(dt(d).mask, 16)})(left) > (${vec(dt(d).mask, 16)})(${LANES});
                vstore16((${C16(d)})(0), 0, w${k});
                vstore16(select((${C16(d)})(0), v${value}, own), 0, w${k} + (e > first ? 16 - left : 0));
                t${k}[1] += vload16(0, w${k});
            }
% endfor
    }
% for k, (value, d) in enumerate(sums):
<% T = dt(d).compute %>
    {
        const ${T}16 x = (t${k}[0] + t${k}[1]) + (t${k}[2] + t${k}[3]);
        const ${T}8 b = x.lo + x.hi;
        const ${T}4 c = b.lo + b.hi;
        const ${T}2 s = c.lo + c.hi;
        q${k}[g] = ((${T}16)(s.lo + s.hi) / (${T}16)(scale${k})).s0;
    }
% endfor
}
