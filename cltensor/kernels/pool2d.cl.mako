## Pooling of NHWC images over windows of kh x kw, and its gradients.
##
## max_pool       y[n, oy, ox, c] = largest x under the window; a nan beats everything
## max_pool_grad  d[n, iy, ix, c] = sum of g over the windows whose first largest element is this one
## max_pool_pick  o[n, oy, ox, c] = v at the window's first largest element: the transpose of max_pool_grad
## avg_pool       y = sum under the window / number of elements under it (those of the border do not count)
## avg_pool_grad  d = sum over the windows that see this element of g / number of elements under it
##
## Every kernel gathers, so each result is written once and sums run over windows in row-major order. Taps and
## windows outside the image are left out by the bounds of the loops.
##
## cpu: a group owns `per` of the `units` rows of its destination; channels in vectors of v, the last vector
## through a private array. gpu: an item per element, grid-stride, neighbours are neighbouring channels.
##
## table: 0 h  1 w  2 c  3 oh  4 ow  5 kh  6 kw  7 sy  8 sx  9 top  10 left
##
## Params: dtype, kind ("max" or "avg"), v (lanes; 1 under the gpu schedule), schedule.
<%
    d = dt(dtype)
    X = d.compute
    XV = vec(X, v)
    kernels = {"max": {"max_pool": "x", "max_pool_grad": "xyg", "max_pool_pick": "xyv"},
               "avg": {"avg_pool": "x", "avg_pool_grad": "g"}}[kind]
    to_input = ("max_pool_grad", "avg_pool_grad")
%>\
#define SAME(a, b) (((a) == (b)) | (((a) != (a)) & ((b) != (b))))
% if v > 1:
#define NOT(m) (~(m))
#define PICK(m, a, b) select(b, a, m)

static inline ${XV} few(__global const ${d.cl} *p, long some)
{
    ${X} lane[${v}];
    for (int i = 0; i < ${v}; i++)
        lane[i] = 0;
    for (long i = 0; i < some; i++)
        lane[i] = ${load1(dtype, "p", "i")};
    return vload${v}(0, lane);
}
% else:
#define NOT(m) (!(m))
#define PICK(m, a, b) ((m) ? (a) : (b))
% endif

<%def name="taps()">\
// taps [ka, kb) x [la, lb) of window (oy, ox) lie inside; its first tap is at (y0, x0)
const long y0 = oy * sy - top, x0 = ox * sx - left;
const long ka = max(-y0, 0L), kb = min(kh, h - y0), la = max(-x0, 0L), lb = min(kw, w - x0);
</%def>
<%def name="element(name, get)">\
<%
    X = dt(dtype).compute
    XV, M = vec(X, v), vec(dt(dtype).mask, v) if v > 1 else "int"
    at_in, at_out = "((n * h + {}) * w + {}) * ch + c", "((n * oh + oy) * ow + ox) * ch + c"
%>\
% if name == "max_pool":
    ${taps()}
    ${XV} r = (${XV})(-INFINITY);
    for (long k = ka; k < kb; k++)
        for (long l = la; l < lb; l++) {
            const ${XV} e = ${get("x", at_in.format("y0 + k", "x0 + l"))};
            r = PICK((e > r) | (e != e), e, r);
        }
% elif name == "max_pool_pick":
    ${taps()}
    const ${XV} largest = ${get("y", at_out)};
    ${XV} r = (${XV})(0);
    ${M} found = (${M})(0);
    for (long k = ka; k < kb; k++)
        for (long l = la; l < lb; l++) {
            const ${XV} e = ${get("x", at_in.format("y0 + k", "x0 + l"))};
            const ${M} hit = SAME(e, largest) & NOT(found);
            r = PICK(hit, ${get("v", at_in.format("y0 + k", "x0 + l"))}, r);
            found |= hit;
        }
% elif name == "avg_pool":
    ${taps()}
    ${XV} r = (${XV})(0);
    for (long k = ka; k < kb; k++)
        for (long l = la; l < lb; l++)
            r += ${get("x", at_in.format("y0 + k", "x0 + l"))};
    r /= (${X})((kb - ka) * (lb - la));
% else:
    // the windows that see (iy, ix)
    const long first_y = max((iy + top - kh + sy) / sy, 0L), last_y = min((iy + top) / sy, oh - 1);
    const long first_x = max((ix + left - kw + sx) / sx, 0L), last_x = min((ix + left) / sx, ow - 1);
    ${XV} r = (${XV})(0);
% if name == "max_pool_grad":
    const ${XV} mine = ${get("x", at_in.format("iy", "ix"))};
% endif
    for (long oy = first_y; oy <= last_y; oy++)
        for (long ox = first_x; ox <= last_x; ox++) {
            ${taps()}
% if name == "avg_pool_grad":
            r += ${get("g", at_out)} / (${X})((kb - ka) * (lb - la));
% else:
            const ${XV} largest = ${get("y", at_out)};
            ${M} hit = SAME(mine, largest);
            // taps before this one, in row-major order
            const long mine_k = iy - y0, mine_l = ix - x0;
            for (long k = ka; k <= mine_k; k++) {
                const long stop = k < mine_k ? lb : mine_l;
                for (long l = la; l < stop; l++) {
                    const ${XV} e = ${get("x", at_in.format("y0 + k", "x0 + l"))};
                    hit &= NOT(SAME(e, largest));
                }
            }
            r += PICK(hit, ${get("g", at_out)}, (${XV})(0));
% endif
        }
% endif
</%def>
% for name, inputs in kernels.items():
<%
    back = name in to_input
    H, W, iy, ix = ("h", "w", "iy", "ix") if back else ("oh", "ow", "oy", "ox")
    out = "((n * %s + %s) * %s + %s) * ch + c" % (H, iy, W, ix)
    pointers = "".join(f", __global const {d.cl} *restrict {p}" for p in inputs)
    full = lambda p, at: load(dtype, v, 0, f"{p} + {at}") if v > 1 else load1(dtype, p, at)
    part = lambda p, at: f"few({p} + {at}, ch - c)"
%>\
${"SOLO" if schedule == "cpu" else ""} __kernel void ${name}(__global ${d.cl} *restrict out${pointers},
    __global const long *restrict t, ulong units, ulong per)
{
    const long h = t[0], w = t[1], ch = t[2], oh = t[3], ow = t[4], kh = t[5], kw = t[6], sy = t[7], sx = t[8];
    const long top = t[9], left = t[10];
% if schedule == "cpu":
    const long end = min((get_group_id(0) + 1) * (size_t)per, (size_t)units);
    for (long row = get_group_id(0) * per; row < end; row++) {
        const long n = row / ${H}, ${iy} = row - n * ${H};
        for (long ${ix} = 0; ${ix} < ${W}; ${ix}++) {
            long c = 0;
            for (; c + ${v} <= ch; c += ${v}) {
                ${element(name, full)}
                ${store(dtype, v, "r", 0, f"out + {out}")};
            }
            if (c < ch) {
                ${element(name, part)}
                ${X} lane[${v}];
                vstore${v}(r, 0, lane);
                __global ${d.cl} *o = out + ${out};
                for (long i = 0; i < ch - c; i++)
                    ${store1(dtype, "lane[i]", "o", "i")};
            }
        }
    }
% else:
    for (size_t id = get_global_id(0); id < units; id += get_global_size(0)) {
        const long pixel = id / ch, c = id - pixel * ch, row = pixel / ${W}, ${ix} = pixel - row * ${W};
        const long n = row / ${H}, ${iy} = row - n * ${H};
        ${element(name, full)}
        ${store1(dtype, "r", "out", "id")};
    }
% endif
}

% endfor
