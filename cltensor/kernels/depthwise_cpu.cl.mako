## Depthwise convolutions of NHWC images under the cpu schedule: channel c of the result sees channel c alone.
##
## slide   out[n, py + j osy, px + i osx, c] = sum over k < ty, l < tx of
##             x[n, by + j sy + k dy, bx + i sx + l dx, c] * f[fk + k fky, fl + l flx, c]
##         the forward pass, and the gradient of the input: one launch for each of its stride phases, over the gradient of
##         the output, taps backwards (kernels/depthwise.py)
## gather  out[part, k, l, c] = sum over n and output places of
##             x[n, oy sy + k dy - top, ox sx + l dx - left, c] * g[n, oy, ox, c]
##         the gradient of the filter; the parts are added by conv2d_layout's fold
##
## Places outside the image are left out, so nothing is copied with a border around. A group owns `per` rows of places
## (slide), or one part of the rows and one vector of channels (gather). Along a row, places whose taps all lie inside go
## by tiles of T: each vector of x is loaded once for all places and taps that read it. What an element sums, it sums as
## one chain of fma in the order of k, l (slide) or n, oy, ox (gather), so tiles do not show in the bits.
##
## Channels go by vectors of v; the last one begins earlier, so that it is whole, and stores only what is its own. Fewer
## channels than v (`narrow`) go through a private array.
##
## table: 0 h  1 w  2 c  3 rows of places  4 columns of places  5 osy  6 osx  7 py  8 px  9 height, 10 width of out
##        11 by  12 bx  13 sy  14 dy  15 ty  16 fk  17 fky  18 fl  19 flx  20 width of f
##        gather reads 0 to 4 and 11 to 15; places are those of the output, ty is kh
##
## Params: dtype, does ("slide" or "gather"), v, tx (taps along a row), sx, dx, T, ky (gather: rows of taps at a time), narrow, epilogue
## (slide only; see epilogue.cl.mako).
<%namespace name="end" file="epilogue.cl.mako"/>
<%
    d = dt(dtype)
    X = d.compute
    XV = vec(X, v)
    places = sorted({t * sx + l * dx for t in range(T) for l in range(tx)})
    whole = lambda p, at: f"few({p} + {at}, ch)" if narrow else load(dtype, v, 0, f"{p} + {at}")
%>\
${end.emit(epilogue, dtype, 16)}
static inline ${XV} few(__global const ${d.cl} *p, long some)
{
    ${X} lane[${v}];
    for (int i = 0; i < ${v}; i++)
        lane[i] = 0;
    for (long i = 0; i < some; i++)
        lane[i] = ${load1(dtype, "p", "i")};
    return vload${v}(0, lane);
}
% if does == "slide":

// Store the lanes from `skip` on of a result whose first channel is c.
static inline void put(__global ${d.cl} *out, const ${XV} r, long at, long c, long skip, long ch${end.params(epilogue)})
{
% if not epilogue:
    if (!skip && c + ${v} <= ch) {
        ${store(dtype, v, "r", 0, "out + at")};
        return;
    }
% endif
    ${X} lane[${v + 16}];
    vstore${v}(r, 0, lane);
    const long some = min(ch - c, ${v}L) - skip;
% if epilogue:
    emit(out + at + skip, lane + skip, some, c + skip, at + skip${end.names(epilogue)});
% else:
    for (long i = 0; i < some; i++)
        ${store1(dtype, "lane[skip + i]", "out + at + skip", "i")};
% endif
}

SOLO __kernel void slide(__global ${d.cl} *restrict out, __global const ${d.cl} *restrict x,
                         __global const ${d.cl} *restrict f, __global const long *restrict t, ulong units,
                         ulong per${end.params(epilogue)})
{
    const long h = t[0], w = t[1], ch = t[2], rows = t[3], cols = t[4], osx = t[6], H = t[9], W = t[10];
    const long bx = t[12], dy = t[14], ty = t[15], fkw = t[20];
    // columns whose taps all lie inside
    const long before = min(max((-bx + ${sx - 1}) / ${sx}, 0L), cols), room = w - 1 - ${max(tx - 1, 0) * dx} - bx;
    const long until = max(before, min(room < 0 ? 0 : room / ${sx} + 1, cols));
    const long last = min((long)(get_group_id(0) + 1) * (long)per, (long)units);
    for (long unit = get_group_id(0) * per; unit < last; unit++) {
        const long n = unit / rows, j = unit - n * rows, y0 = t[11] + j * t[13];
        const long ka = y0 < 0 ? (dy - 1 - y0) / dy : 0, kb = h > y0 ? min(ty, (h - y0 + dy - 1) / dy) : 0;
        const long to = ((n * H + t[7] + j * t[5]) * W + t[8]) * ch;
        __global const ${d.cl} *xn = x + n * h * w * ch;
        for (long c0 = 0; c0 < ch; c0 += ${v}) {
            const long c = ${"0" if narrow else f"min(c0, ch - {v})"}, skip = c0 - c;
            __global const ${d.cl} *f0 = f + (t[16] * fkw + t[18]) * ch + c;
            const long fk = t[17] * fkw * ch, fl = t[19] * ch;
            for (long i = 0; i < cols;) {
                if (i >= before && i + ${T} <= until) {
                    ${XV} ${", ".join(f"r{q} = ({XV})(0)" for q in range(T))};
                    for (long k = ka; k < kb; k++) {
                        __global const ${d.cl} *a = xn + ((y0 + k * dy) * w + bx + i * ${sx}) * ch + c, *b = f0 + k * fk;
% for l in range(tx):
                        const ${XV} f${l} = ${whole("b", f"{l} * fl")};
% endfor
% for p in places:
                        {
                            const ${XV} e = ${whole("a", f"{p} * ch")};
% for q in range(T):
% for l in range(tx):
% if q * sx + l * dx == p:
                            r${q} = fma(e, f${l}, r${q});
% endif
% endfor
% endfor
                        }
% endfor
                    }
% for q in range(T):
                    put(out, r${q}, to + (i + ${q}) * osx * ch + c, c, skip, ch${end.names(epilogue)});
% endfor
                    i += ${T};
                    continue;
                }
                ${XV} r = (${XV})(0);
                for (long k = ka; k < kb; k++)
                    for (long l = 0; l < ${tx}; l++) {
                        const long at = bx + i * ${sx} + l * ${dx};
                        if (at >= 0 && at < w) {
                            __global const ${d.cl} *a = xn + ((y0 + k * dy) * w + at) * ch + c, *b = f0 + k * fk;
                            r = fma(${whole("a", "0")}, ${whole("b", "l * fl")}, r);
                        }
                    }
                put(out, r, to + i * osx * ch + c, c, skip, ch${end.names(epilogue)});
                i++;
            }
        }
    }
}
% else:
<%
    taps = [(k, l) for k in range(ky) for l in range(tx)]
%>
SOLO __kernel void gather(__global ${X} *restrict out, __global const ${d.cl} *restrict x,
                          __global const ${d.cl} *restrict g, __global const long *restrict t, ulong units, ulong per)
{
    const long h = t[0], w = t[1], ch = t[2], oh = t[3], ow = t[4], by = t[11], bx = t[12], sy = t[13], dy = t[14];
    const long kh = t[15], part = get_group_id(0), c0 = get_group_id(1) * ${v};
    const long c = ${"0" if narrow else f"min(c0, ch - {v})"}, skip = c0 - c, first = part * per;
    const long last = min(first + (long)per, (long)units);
    const long before = min(max((-bx + ${sx - 1}) / ${sx}, 0L), ow), room = w - 1 - ${(tx - 1) * dx} - bx;
    const long until = max(before, min(room < 0 ? 0 : room / ${sx} + 1, ow));
    for (long k0 = 0; k0 < kh; k0 += ${ky}) {
        ${XV} ${", ".join(f"r{k}_{l} = ({XV})(0)" for k, l in taps)};
        for (long row = first; row < last; row++) {
            const long n = row / oh, oy = row - n * oh, y0 = by + oy * sy + k0 * dy;
            __global const ${d.cl} *b = g + row * ow * ch + c, *a = x + (n * h + y0) * w * ch + bx * ch + c;
            const long down = dy * w * ch;
            const int inside = y0 >= 0 && y0 + ${ky - 1} * dy < h;
            for (long i = 0; i < ow; i++) {
                const ${XV} e = ${whole("b", "i * ch")};
                if (inside && i >= before && i < until) {
                    __global const ${d.cl} *p = a + i * ${sx} * ch;
% for k, l in taps:
                    r${k}_${l} = fma(${whole("p", f"{k} * down + {l * dx} * ch")}, e, r${k}_${l});
% endfor
                    continue;
                }
% for k in range(ky):
                if (y0 + ${k} * dy >= 0 && y0 + ${k} * dy < h) {
% for l in range(tx):
                    if (bx + i * ${sx} + ${l * dx} >= 0 && bx + i * ${sx} + ${l * dx} < w)
                        r${k}_${l} = fma(${whole("a", f"{k} * down + (i * {sx} + {l * dx}) * ch")}, e, r${k}_${l});
% endfor
                }
% endfor
            }
        }
        __global ${X} *o = out + (part * kh + k0) * ${tx} * ch + c;
        ${X} lane[${v}];
        const long some = min(ch - c, ${v}L);
% for k, l in taps:
        vstore${v}(r${k}_${l}, 0, lane);
        for (long i = skip; i < some; i++)
            o[${k * tx + l} * ch + i] = lane[i];
% endfor
    }
}
% endif
