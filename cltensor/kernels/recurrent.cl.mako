## One step of a recurrent cell after its matrix product, forwards or backwards: one launch each.
##
## Tensors have `batch` rows. A row of a tensor of gates is made of strips of `units` numbers, one per gate; a row of
## a state is one strip. Element (b, j) of strip s lies at b * row + s * units + j, where row = strips * units, or 0
## for the one tensor that may be a vector, a bias for all rows. Element (b, j) of a result depends on the elements
## (b, j) of all strips only, so this is elementwise.
##
##   lstm       a = gates + added, strips i, f, g, o in `order`           (Hochreiter and Schmidhuber 1997, Gers 2000)
##              c' = s(f + forget) c + s(i) tanh(g);  h = s(o) tanh(c')
##              results h, c'
##   lstm_grad  from the gradients gh, gc of h, c': those of a and c
##   gru        hid = hidden + bias, strips z, r, n in `order`            (Cho et al. 2014, reset after the product)
##              n' = tanh(gates_n + s(r) hid_n);  h' = s(z) h + (1 - s(z)) n',  z and r being gates + hid
##   gru_grad   from the gradient gh of h': those of gates, of hid and of h
##
## s is the sigmoid 1 / (1 + exp(-x)), or the hard one, min(max(0.2 x + 0.5, 0), 1).
##
## One unit of work is one vector of a row, padded at the row's end. schedule cpu: one work-item per group owns `per`
## adjacent units, vectors of 16. schedule gpu: units are single elements, dealt out in a grid-stride loop.
##
## Params: schedule  "cpu" or "gpu"
##         kind      see above
##         dtype     of all tensors; float16 is computed in float
##         order     "ifgo", "igfo" (lstm), "zrn" (gru): which strip is which
##         hard      True for the hard sigmoid
##
## Arguments: results, inputs; batch; units; chunks: vectors per row; per; vector_row: 0 if added (gru: bias) is a
## vector, else its row; forget: added to f.
<%namespace name="own" file="tanh.cl.mako"/>
<%
V = 16 if schedule == "cpu" else 1
D = dt(dtype)
T, S = vec(D.compute, V), D.cl
gates = len(order)
lstm, grad = kind.startswith("lstm"), kind.endswith("grad")
state = "c" if lstm else "h"
results = (["dgates", "dc"] if lstm else ["dgates", "dhid", "dh"]) if grad else (["h", "cn"] if lstm else ["hn"])
inputs = ["gates", "added", "c"] if lstm else ["gates", "hidden", "bias", "h"]
if grad: inputs += ["gh", "gc"] if lstm else ["gh"]
def K(value): return f"(({T})({literal(D, value)}))"
tanh = "tanh" if D.compute == "double" else "tanh_fast"
def at(name, gate): return f"{name} + g0 + {order.index(gate)} * units"
%>
% if tanh == "tanh_fast":
${own.tanh_fast(V)}
% endif
inline ${T} fetch(__global const ${S} *p, const uint left)
{
% if V > 1:
    if (left < ${V}) {
        ${D.compute} t[${V}];
        for (uint l = 0; l < ${V}; ++l) t[l] = l < left ? ${load1(D, "p", "l")} : 0;
        return vload${V}(0, t);
    }
% endif
    return ${load(D, V, "0", "p")};
}

inline void put(const ${T} v, __global ${S} *p, const uint left)
{
% if V > 1:
    if (left < ${V}) {
        ${D.compute} t[${V}];
        vstore${V}(v, 0, t);
        for (uint l = 0; l < left; ++l) ${store1(D, "t[l]", "p", "l")};
        return;
    }
% endif
    ${store(D, V, "v", "0", "p")};
}

inline ${T} squash(const ${T} x)
{
% if hard:
    return fmin(fmax(x * ${K(0.2)} + ${K(0.5)}, ${K(0)}), ${K(1)});
% else:
    return ${K(1)} / (${K(1)} + exp(-x));
% endif
}

// derivative of the sigmoid where its value is y
inline ${T} slope(const ${T} y)
{
% if hard and V > 1:
    return select(${K(0)}, ${K(0.2)}, (y > ${K(0)}) & (y < ${K(1)}));
% elif hard:
    return y > ${K(0)} && y < ${K(1)} ? ${K(0.2)} : ${K(0)};
% else:
    return y * (${K(1)} - y);
% endif
}

% if schedule == "cpu":
SOLO
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
% endif
__kernel void cell(
% for name in results:
    __global ${S} *${name},
% endfor
% for name in inputs:
    __global const ${S} *${name},
% endfor
    const ulong batch, const ulong units, const ulong chunks, const ulong per, const ulong vector_row,
    const ${D.compute} forget)
{
    const size_t all = batch * chunks;
% if schedule == "cpu":
    size_t u = get_group_id(0) * per;
    const size_t end = min((size_t)(u + per), all);
    for (; u < end; ++u) {
% else:
    for (size_t u = get_global_id(0); u < all; u += get_global_size(0)) {
% endif
        const size_t b = u / chunks, j = (u - b * chunks) * ${V};
        const uint left = min((size_t)${V}, (size_t)(units - j));
        const size_t g0 = b * ${gates} * units + j, s0 = b * units + j, v0 = b * vector_row + j;
% if lstm:
% for gate in order:
        const ${T} a${gate} = fetch(${at("gates", gate)}, left)
            + fetch(added + v0 + ${order.index(gate)} * units, left);
% endfor
        const ${T} c0 = fetch(c + s0, left);
        const ${T} i = squash(ai), f = squash(af + (${T})(forget)), g = ${tanh}(ag), o = squash(ao);
        const ${T} c1 = f * c0 + i * g, t = ${tanh}(c1);
% if not grad:
        put(o * t, h + s0, left);
        put(c1, cn + s0, left);
% else:
        const ${T} dh = fetch(gh + s0, left);
        const ${T} d = fetch(gc + s0, left) + dh * o * (${K(1)} - t * t);
        put(d * g * slope(i), ${at("dgates", "i")}, left);
        put(d * c0 * slope(f), ${at("dgates", "f")}, left);
        put(d * i * (${K(1)} - g * g), ${at("dgates", "g")}, left);
        put(dh * t * slope(o), ${at("dgates", "o")}, left);
        put(d * f, dc + s0, left);
% endif
% else:
% for gate in order:
        const ${T} x${gate} = fetch(${at("gates", gate)}, left);
        const ${T} h${gate}_ = fetch(${at("hidden", gate)}, left)
            + fetch(bias + v0 + ${order.index(gate)} * units, left);
% endfor
        const ${T} h0 = fetch(h + s0, left);
        const ${T} z = squash(xz + hz_), r = squash(xr + hr_), n = ${tanh}(xn + r * hn_);
% if not grad:
        put(z * h0 + (${K(1)} - z) * n, hn + s0, left);
% else:
        const ${T} d = fetch(gh + s0, left);
        const ${T} dn = d * (${K(1)} - z) * (${K(1)} - n * n);
        const ${T} dz = d * (h0 - n) * slope(z), dr = dn * hn_ * slope(r);
        put(dz, ${at("dgates", "z")}, left);
        put(dr, ${at("dgates", "r")}, left);
        put(dn, ${at("dgates", "n")}, left);
        put(dz, ${at("dhid", "z")}, left);
        put(dr, ${at("dhid", "r")}, left);
        put(dn * r, ${at("dhid", "n")}, left);
        put(d * z, dh + s0, left);
% endif
% endif
    }
}
