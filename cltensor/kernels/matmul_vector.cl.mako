## C[g] = op(A[g]) @ op(B[g]) for M < 4 under the cpu schedule: one work-item per group, float16-wide vectors.
##
## Kernels strip (B has rows along n), dots (B has rows along k), fold (adds the parts when k was split, and is where an
## epilogue runs). Each element is a chain of MADs over a part of k; dots has a chain in each lane, added in halves.
## How k is split follows from the sizes alone, so the bits do not depend on the number of cores.
##
## dtype   float16 (stored half, computed float), float32, float64, int32, int64
## v       lanes of a vector: 16, for 64-bit types 8
## dots    columns handled at once in dots
## epilogue  see epilogue.cl.mako; its inputs are the last arguments of fold
<%namespace name="end" file="epilogue.cl.mako"/>
<%include file="matmul_parts.cl.mako"/>
<%
    d = dt(dtype)
    C = d.cl
%>
${end.emit(epilogue, dtype, 16)}
// Row r of C over a strip of columns and a part of k. Groups: strip of `width` <= ${64 * v} columns, part of
// `deep` steps, matrix * m + row. Parts lie `total` elements apart in c. Eight rows of B at a time are added into
// accumulators in the cache, so B is read in long runs; the last vector of a row is shifted back.
SOLO __kernel void strip(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                         __global const long *restrict table, ulong m, ulong n, ulong k,
                         ulong am, ulong ak, ulong deep, ulong total, ulong width)
{
    size_t ia, ib;
    const size_t row = get_group_id(2), g = row / m, r = row - g * m;
    matrices_of(g, table, &ia, &ib);
    const size_t c0 = get_group_id(0) * width, last = n - ${v};
    const size_t vectors = (min((size_t)width, (size_t)n - c0) + ${v - 1}) / ${v};
    const size_t p1 = min((get_group_id(1) + 1) * (size_t)deep, (size_t)k);
    size_t p = get_group_id(1) * deep;
    a += ia * m * k + r * am;
    b += ib * k * n + p * n;
    XV s[64];
    for (size_t i = 0; i < vectors; i++)
        s[i] = (XV)(0);
    for (; p + 8 <= p1; p += 8, b += 8 * n) {
% for u in range(8):
        const XV x${u} = (XV)(${load1(dtype, "a", f"(p + {u}) * ak")});
% endfor
        for (size_t i = 0; i < vectors; i++) {
            __global const T *q = b + min(c0 + i * ${v}, last);
            XV t = s[i];
% for u in range(8):
            t = MAD(x${u}, ${load(dtype, v, 0, f"q + {u} * n")}, t);
% endfor
            s[i] = t;
        }
    }
    for (; p < p1; p++, b += n) {
        const XV x = (XV)(${load1(dtype, "a", "p * ak")});
        for (size_t i = 0; i < vectors; i++) {
            __global const T *q = b + min(c0 + i * ${v}, last);
            s[i] = MAD(x, ${load(dtype, v, 0, "q")}, s[i]);
        }
    }
    c += get_group_id(1) * total + row * n;
    for (size_t i = 0; i < vectors; i++)
        ${store(dtype, v, "s[i]", 0, f"c + min(c0 + i * {v}, last)")};
}

<%
    w = range(dots)

    def halves(name):
        """The sum of a vector's lanes as a tree of halves: one order everywhere."""
        parts, lanes = name, v
        lines = []
        while lanes > 2:
            lines.append(f"const {vec(X, lanes // 2)} {name}_{lanes // 2} = {parts}.lo + {parts}.hi;")
            parts, lanes = f"{name}_{lanes // 2}", lanes // 2
        return " ".join(lines), f"{parts}.lo + {parts}.hi"
    X = {"int32": "uint", "int64": "ulong"}.get(dtype, dt(dtype).compute)
%>\
// Row r of C over a block of `per` columns, op(B)'s columns contiguous along k, and a part of k. Groups:
// block, part, matrix * m + row. C's strides are cm and cn, so that a swapped product fits too.
SOLO __kernel void dots(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                        __global const long *restrict table, ulong m, ulong n, ulong k,
                        ulong am, ulong bn, ulong cm, ulong cn, ulong deep, ulong total, ulong per)
{
    size_t ia, ib;
    const size_t row = get_group_id(2), g = row / m, r = row - g * m;
    matrices_of(g, table, &ia, &ib);
    const size_t p0 = get_group_id(1) * deep, p1 = min(p0 + (size_t)deep, (size_t)k);
    const size_t j1 = min((get_group_id(0) + 1) * (size_t)per, (size_t)n);
    a += ia * m * k + r * am;
    b += ib * k * n;
    c += get_group_id(1) * total + g * m * n + r * cm;
    for (size_t j = get_group_id(0) * (size_t)per; j < j1; j += ${dots}) {
% for q in w:
        __global const T *b${q} = b + min(j + ${q}, j1 - 1) * bn;
        XV s${q} = (XV)(0);
% endfor
        size_t p = p0;
        for (; p + ${v} <= p1; p += ${v}) {
            const XV x = ${load(dtype, v, 0, "a + p")};
            ${" ".join(f"s{q} = MAD(x, {load(dtype, v, 0, f'b{q} + p')}, s{q});" for q in w)}
        }
        if (p < p1) {
            const size_t rest = p1 - p;
            X x[${v}];
            for (size_t i = 0; i < ${v}; i++)
                x[i] = 0;
            for (size_t i = 0; i < rest; i++)
                x[i] = ${load1(dtype, "a", "p + i")};
            const XV z = vload${v}(0, x);
% for q in w:
            for (size_t i = 0; i < rest; i++)
                x[i] = ${load1(dtype, f"b{q}", "p + i")};
            s${q} = MAD(z, vload${v}(0, x), s${q});
% endfor
        }
% for q in w:
<% lines, total_ = halves(f"s{q}") %>\
        if (j + ${q} < j1) {
            ${lines}
            const X sum = ${total_};
            ${store1(dtype, "sum", "c", f"(j + {q}) * cn")};
        }
% endfor
    }
}

// Add the `parts` parts of w, `total` elements apart, in order. Groups: block of `per` elements. n: length of a row.
SOLO __kernel void fold(__global T *restrict c, __global const T *restrict w, ulong parts, ulong total,
                        ulong per, ulong n${end.params(epilogue)})
{
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)total);
    size_t i = get_group_id(0) * (size_t)per;
% if epilogue:
    X sums[64];
    while (i < end) {
        const size_t row = i / n, some = min((size_t)64, min(end, (row + 1) * (size_t)n) - i);
        for (size_t j = 0; j < some; j++) {
            X s = ${load1(dtype, "w", "i + j")};
            for (size_t q = 1; q < parts; q++)
                s += ${load1(dtype, "w", "q * total + i + j")};
            sums[j] = s;
        }
        emit((__global ${C} *)(c + i), (const ${d.compute} *)sums, some, i - row * n, i${end.names(epilogue)});
        i += some;
    }
% else:
    for (; i + ${v} <= end; i += ${v}) {
        XV s = ${load(dtype, v, 0, "w + i")};
        for (size_t q = 1; q < parts; q++)
            s += ${load(dtype, v, 0, "w + q * total + i")};
        ${store(dtype, v, "s", 0, "c + i")};
    }
    for (; i < end; i++) {
        X s = ${load1(dtype, "w", "i")};
        for (size_t q = 1; q < parts; q++)
            s += ${load1(dtype, "w", "q * total + i")};
        ${store1(dtype, "s", "c", "i")};
    }
% endif
}
