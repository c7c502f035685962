## Batch normalisation of x seen as rows x c, each channel (column) over all rows, and its gradient.
##
## stats    of each piece of `length` rows: mean and sum of squared differences from it, [pieces, c] each
## combine  mean and variance (divided by rows) of all rows from the pieces', in order, by Chan, Golub and
##          LeVeque (1979): exact where a sum of squares would cancel
## apply    y = (x - mean) * (scale / sqrt(variance + epsilon)) + offset
## sums     of each piece: sum of g, and of g * (x - mean) / sqrt(variance + epsilon)
## total    the sums of all pieces, in order: gradients of offset and scale
## back     dx = scale / sqrt(variance + epsilon) * (g - doffset / rows - normalised x * dscale / rows)
##
## How rows are cut into pieces depends on sizes alone, so the bits do too.
##
## cpu: a unit is a piece of rows by a strip of 64 channels; a group owns `per` units (combine, total: strips of v
## channels). Channels in vectors of v, the last through a private array. gpu: a unit is a piece by one channel, an
## item each, grid-stride, neighbours are neighbouring channels.
##
## Params: dtype (float32, float64), v (lanes; 1 under the gpu schedule), schedule, epilogue of apply (see
## epilogue.cl.mako; its inputs are the last arguments).
<%namespace name="end" file="epilogue.cl.mako"/>
<%
    X = dt(dtype).compute
    XV = vec(X, v)
    kernels = {     # buffers written, buffers read, whether a unit is of pieces or of columns alone
        "stats": (("mean", "m2"), ("x",), True), "combine": (("mean", "variance"), ("means", "m2s"), False),
        "apply": (("y",), ("x", "scale", "offset", "mean", "variance"), True),
        "sums": (("sg", "sx"), ("x", "g", "mean", "variance"), True),
        "total": (("dscale", "doffset"), ("sg", "sx"), False),
        "back": (("dx",), ("x", "g", "scale", "mean", "variance", "dscale", "doffset"), True)}
    if epilogue:                # a program of its own, for this kernel alone
        kernels = {"apply": kernels["apply"]}
%>\
<%def name="columns(name, get, put, some)">\
<% X, XV = dt(dtype).compute, vec(dt(dtype).compute, v) %>\
% if name == "stats":
    ${XV} total = (${XV})(0), ssd = (${XV})(0);
    for (size_t r = first; r < last; r++)
        total += ${get("x", "r * c + i")};
    const ${XV} mean_ = total / (${X})(last - first);
    for (size_t r = first; r < last; r++) {
        const ${XV} e = ${get("x", "r * c + i")} - mean_;
        ssd += e * e;
    }
    ${put("mean_", "mean", "piece * c + i")}
    ${put("ssd", "m2", "piece * c + i")}
% elif name == "combine":
    ${XV} mean_ = ${get("means", "i")}, ssd = ${get("m2s", "i")};
    for (size_t p = 1; p < pieces; p++) {
        const ${X} before = (${X})(p * length), more = (${X})(min((size_t)length, (size_t)(rows - p * length)));
        const ${XV} e = ${get("means", "p * c + i")} - mean_;
        mean_ += e * (more / (before + more));
        ssd += ${get("m2s", "p * c + i")} + e * e * (before * more / (before + more));
    }
    ssd /= (${X})rows;
    ${put("mean_", "mean", "i")}
    ${put("ssd", "variance", "i")}
% elif name == "apply":
    const ${XV} mean_ = ${get("mean", "i")}, offset_ = ${get("offset", "i")};
    const ${XV} factor = ${get("scale", "i")} / sqrt(${get("variance", "i")} + epsilon);
    for (size_t r = first; r < last; r++) {
        const ${XV} e = fma(${get("x", "r * c + i")} - mean_, factor, offset_);
% if epilogue:
        ${X} ready[16];
        ${f"vstore{v}(e, 0, ready)" if v > 1 else "ready[0] = e"};
        emit(y + r * c + i, ready, ${some}, i, r * c + i${end.names(epilogue)});
% else:
        ${put("e", "y", "r * c + i")}
% endif
    }
% elif name == "sums":
    const ${XV} mean_ = ${get("mean", "i")}, root = sqrt(${get("variance", "i")} + epsilon);
    ${XV} a = (${XV})(0), b = (${XV})(0);
    for (size_t r = first; r < last; r++) {
        const ${XV} e = ${get("g", "r * c + i")};
        a += e;
        b = fma(e, ${get("x", "r * c + i")} - mean_, b);
    }
    b /= root;
    ${put("a", "sg", "piece * c + i")}
    ${put("b", "sx", "piece * c + i")}
% elif name == "total":
    ${XV} a = ${get("sg", "i")}, b = ${get("sx", "i")};
    for (size_t p = 1; p < pieces; p++) {
        a += ${get("sg", "p * c + i")};
        b += ${get("sx", "p * c + i")};
    }
    ${put("b", "dscale", "i")}
    ${put("a", "doffset", "i")}
% else:
    const ${XV} mean_ = ${get("mean", "i")}, root = sqrt(${get("variance", "i")} + epsilon);
    const ${XV} factor = ${get("scale", "i")} / root, a = ${get("doffset", "i")} / (${X})rows;
    const ${XV} b = ${get("dscale", "i")} / (root * (${X})rows);
    for (size_t r = first; r < last; r++) {
        const ${XV} e = factor * (${get("g", "r * c + i")} - a - (${get("x", "r * c + i")} - mean_) * b);
        ${put("e", "dx", "r * c + i")}
    }
% endif
</%def>\
% if v > 1:
static inline ${XV} few(__global const ${X} *p, size_t some)
{
    ${X} lane[${v}];
    for (int k = 0; k < ${v}; k++)
        lane[k] = 1;                    // a variance of 1 divides no padding lane by zero
    for (size_t k = 0; k < some; k++)
        lane[k] = p[k];
    return vload${v}(0, lane);
}

static inline void put_few(${XV} x, __global ${X} *p, size_t some)
{
    ${X} lane[${v}];
    vstore${v}(x, 0, lane);
    for (size_t k = 0; k < some; k++)
        p[k] = lane[k];
}
% endif
${end.emit(epilogue, dtype, 16 if schedule == "cpu" else 4)}
% for name, (outs, ins, piecewise) in kernels.items():
<%
    full = lambda p, at: load(dtype, v, 0, f"{p} + {at}") if v > 1 else f"{p}[{at}]"
    put = lambda x, p, at: (store(dtype, v, x, 0, f"{p} + {at}") if v > 1 else f"{p}[{at}] = {x}") + ";"
    part = lambda p, at: f"few({p} + {at}, c - i)"
    put_part = lambda x, p, at: f"put_few({x}, {p} + {at}, c - i);"
    width = (64 if piecewise else v) if schedule == "cpu" else 1
%>
${"SOLO" if schedule == "cpu" else ""} __kernel void ${name}(${", ".join(
        [f"__global {X} *restrict {p}" for p in outs] + [f"__global const {X} *restrict {p}" for p in ins])},
    ulong rows, ulong c, ulong length, ulong pieces, ulong units, ulong per, ${X} epsilon\
${end.params(epilogue) if name == "apply" else ""})
{
    const size_t strips = (c + ${width - 1}) / ${width};
% if schedule == "cpu":
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)units);
    for (size_t unit = get_group_id(0) * (size_t)per; unit < end; unit++) {
% else:
    for (size_t unit = get_global_id(0); unit < units; unit += get_global_size(0)) {
% endif
        const size_t piece = unit / strips, strip = unit - piece * strips;
        const size_t first = piece * length, last = min(first + (size_t)length, (size_t)rows);
        size_t i = strip * ${width};
% if schedule == "cpu":
        const size_t stop = min(i + ${width}, (size_t)c);
        for (; i + ${v} <= stop; i += ${v}) {
            ${columns(name, full, put, v)}
        }
        if (i < stop) {
            ${columns(name, part, put_part, "c - i")}
        }
% else:
        ${columns(name, full, put, 1)}
% endif
    }
}
% endfor
