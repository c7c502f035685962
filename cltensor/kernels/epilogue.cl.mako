## What a kernel does to finished numbers before it stores them (kernels/epilogue.py), for templates that have a
## parameter `epilogue`: () or (((kind, dtype), ...), statements, number of the result). A namespace, not a program.
##
##   end.params(epilogue)             the kernel's last parameters e1, e2, ...
##   end.names(epilogue)              the same as arguments of a call
##   end.emit(epilogue, dtype, V)     the function
##       emit(o, x, some, column, at, e1, ...)     store `some` numbers x[0], x[1], ... of one row at o, which is
##                                                 element `at` of the result and lies in column `column`
##
## Statements run over vectors of V, the width of the elementwise template, whose bits they must have; x may be read up
## to a whole vector.
<%namespace name="words" file="statements.cl.mako"/>
<%def name="params(epilogue)"><%
    inputs = epilogue[0] if epilogue else ()
%>${"".join(f", const {dt(d).compute} e{i}" if kind == "slot" else f", __global const {dt(d).cl} *e{i}"
            for i, (kind, d) in enumerate(inputs, 1))}</%def>
<%def name="names(epilogue)">${"".join(f", e{i}" for i in range(1, len(epilogue[0]) + 1)) if epilogue else ""}</%def>
<%def name="emit(epilogue, dtype, V)">
% if epilogue:
<%
    inputs, lines, result = epilogue
    X = dt(dtype).compute
    O = dt(dtype).cl
    def many(i, kind, d):
        """A whole vector of input i at lane j."""
        if kind in ("slot", "one"):
            return f"({vec(dt(d).compute, V)})({f'e{i}' if kind == 'slot' else load1(d, f'e{i}', '0')})"
        return load(d, V, 0, f"e{i} + {'column' if kind == 'column' else 'at'} + j")
%>
${words.needs(lines, V)}
% for i, (kind, d) in enumerate(inputs, 1):
% if kind in ("column", "full"):
// The first n < ${V} numbers at p, zeros behind them.
static inline ${vec(dt(d).compute, V)} some${i}(__global const ${dt(d).cl} *p, size_t n)
{
    ${dt(d).compute} t[${V}];
    for (size_t i = 0; i < ${V}; i++)
        t[i] = i < n ? ${load1(d, "p", "i")} : 0;
    return vload${V}(0, t);
}
% endif
% endfor

static inline ${vec(X, V)} finish(${vec(X, V)} ${"x" if dtype == "float16" else "v0"}\
${"".join(f", {vec(dt(d).compute, V)} v{i}" for i, (_, d) in enumerate(inputs, 1))})
{
% if dtype == "float16":
    ROUND_HALF(${vec(X, V)}, v0, x)
% endif
% for line in lines:
    ${line}
% endfor
    return v${result};
}

static inline void emit(__global ${O} *o, const ${X} *x, size_t some, size_t column, size_t at${params(epilogue)})
{
    size_t j = 0;
    for (; j + ${V} <= some; j += ${V}) {
        const ${vec(X, V)} y = finish(${", ".join([f"vload{V}(0, x + j)"] + [many(i, k, d) for i, (k, d) in enumerate(inputs, 1)])});
        ${store(dtype, V, "y", 0, "o + j")};
    }
    if (j < some) {
<%
    partial = [f"some{i}(e{i} + {'column' if k == 'column' else 'at'} + j, some - j)" if k in ("column", "full")
               else many(i, k, d) for i, (k, d) in enumerate(inputs, 1)]
%>\
        const ${vec(X, V)} y = finish(${", ".join([f"vload{V}(0, x + j)"] + partial)});
        ${X} t[${V}];
        vstore${V}(y, 0, t);
        for (size_t i = 0; j < some; i++, j++)
            ${store1(dtype, "t[i]", "o", "j")};
    }
}
% endif
</%def>
