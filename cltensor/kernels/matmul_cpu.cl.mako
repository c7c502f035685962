## C[g] = op(A[g]) @ op(B[g]) under the cpu schedule: one work-item per group, float16-wide vectors.
##
## Element (i, j) of op(A) lies at i*am + j*ak, of op(B) at i*bk + j*bn, so transposition is only strides.
## Every form but "vector" adds the k products of an element in one chain of MADs, k = 0, 1, 2, ...: the bits
## do not depend on the form, the tile sizes or the number of cores. "vector" splits k by the sizes alone.
##
## form    "edge"    any shape: register tiles of mr x 1 vectors, rows clamped, columns guarded. For tiny
##                   matrices, N below one tile, M below one tile. Kernels: edge, turn (lays a transposed
##                   B out with rows along n first).
##         "direct"  B has rows along n; M >= mr, N >= nv*v: register tiles of mr x nv vectors straight from
##                   A and B; the last tile of each direction is shifted back, so all are full.
##         "packed"  A and B are first copied to panels of mr rows and nv*v columns (zero-padded), each
##                   contiguous along k; kernels: pack_a, pack_b, packed. For transposed B, strides that
##                   collide in the cache, float16.
##         "vector"  M < 4: kernels strip (B has rows along n), dots (B has rows along k), fold (adds the
##                   parts when k was split).
## dtype   float16 (stored half, computed float), float32, float64, int32, int64
## v       lanes of a vector: 16, for 64-bit types 8
## mr, nv  register tile: mr rows x nv vectors
## dots    columns handled at once in dots ("vector")
## epilogue  see matmul_parts; its bias pointer is a last argument of edge, direct and packed
<%include file="matmul_parts.cl.mako"/>
<%
    nr = nv * v
    rows, cols = range(mr), range(nv)
    bias = ", __global const T *restrict bias" if "bias" in epilogue else ""

    def out(value, column):
        """`value` through the epilogue; `column` is the index of its first lane."""
        if not epilogue:
            return value
        return f"finish({value}, {load(dtype, v, 0, f'bias + {column}') if bias else '(XV)(0)'})"
%>
% if form == "edge":
// Copy op(B) of every matrix, n x k as stored, to k x width with zeros past n. Groups: column j, matrix.
SOLO __kernel void turn(__global RAW *restrict d, __global const RAW *restrict b, ulong n, ulong k, ulong width)
{
    const size_t j = get_group_id(0), g = get_group_id(1);
    d += g * k * width + j;
    if (j < n) {
        b += (g * n + j) * k;
        for (size_t i = 0; i < k; i++)
            d[i * width] = b[i];
    } else {
        for (size_t i = 0; i < k; i++)
            d[i * width] = 0;
    }
}

// Groups: block of `per` rows, block of v columns, matrix. `last` is the number of elements of one stored B.
SOLO __kernel void edge(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                        __global const long *restrict table, ulong m, ulong n, ulong k,
                        ulong am, ulong ak, ulong bk, ulong bn, ulong last, ulong per${bias})
{
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    const size_t c0 = get_group_id(1) * ${v}, some = min((size_t)${v}, (size_t)n - c0);
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)m);
    a += ia * m * k;
    b += ib * last + c0 * bn;
    c += get_group_id(2) * m * n + c0;
    // The first `whole` rows of B can be loaded as vectors without passing the end of B; lanes past n hold
    // the next row's numbers and are dropped at the store.
    size_t whole = 0;
    if (bn == 1 && last >= c0 + ${v})
        whole = min((size_t)k, (last - c0 - ${v}) / bk + 1);
    X lane[${v}];
    for (int j = 0; j < ${v}; j++)
        lane[j] = 0;
    for (size_t r = get_group_id(0) * (size_t)per; r < end; r += ${mr}) {
% for i in rows:
        __global const T *a${i} = a + min(r + ${i}, (size_t)m - 1) * am;
        XV s${i} = (XV)(0);
% endfor
        size_t p = 0;
        for (; p < whole; p++) {
            const XV q = ${load(dtype, v, 0, "b + p * bk")};
% for i in rows:
            s${i} = MAD((XV)(${load1(dtype, f"a{i}", "p * ak")}), q, s${i});
% endfor
        }
        for (; p < k; p++) {
            for (size_t j = 0; j < some; j++)
                lane[j] = ${load1(dtype, "b", "p * bk + j * bn")};
            const XV q = vload${v}(0, lane);
% for i in rows:
            s${i} = MAD((XV)(${load1(dtype, f"a{i}", "p * ak")}), q, s${i});
% endfor
        }
% if epilogue:
        XV w = (XV)(0);
% if bias:
        for (size_t j = 0; j < some; j++)
            lane[j] = ${load1(dtype, "bias", "c0 + j")};
        w = vload${v}(0, lane);
% endif
% for i in rows:
        s${i} = finish(s${i}, w);
% endfor
% endif
        __global T *o = c + r * n;
        if (some == ${v} && r + ${mr} <= end) {
% for i in rows:
            ${store(dtype, v, f"s{i}", 0, f"o + {i} * n")};
% endfor
        } else {
            X t[${mr * v}];
% for i in rows:
            vstore${v}(s${i}, ${i}, t);
% endfor
            const size_t full = min((size_t)${mr}, end - r);
            for (size_t i = 0; i < full; i++)
                for (size_t j = 0; j < some; j++)
                    ${store1(dtype, f"t[i * {v} + j]", "o", "i * n + j")};
        }
    }
}
% elif form == "direct":
// Groups: row tile, column tile, matrix. Rows of B are n apart.
SOLO __kernel void direct(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                          __global const long *restrict table, ulong m, ulong n, ulong k,
                          ulong am, ulong ak${bias})
{
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    const size_t r0 = min(get_group_id(0) * ${mr}, (size_t)m - ${mr});
    const size_t c0 = min(get_group_id(1) * ${nr}, (size_t)n - ${nr});
    a += ia * m * k + r0 * am;
    b += ib * k * n + c0;
% for i in rows:
    XV ${", ".join(f"s{i}_{j} = (XV)(0)" for j in cols)};
% endfor
    for (size_t p = 0; p < k; p++, a += ak, b += n) {
        const XV ${", ".join(f"q{j} = {load(dtype, v, j, 'b')}" for j in cols)};
% for i in rows:
        { const XV x = (XV)(${load1(dtype, "a", f"{i} * am")}); \
${" ".join(f"s{i}_{j} = MAD(x, q{j}, s{i}_{j});" for j in cols)} }
% endfor
    }
    c += get_group_id(2) * m * n + r0 * n + c0;
% for i in rows:
    ${" ".join(store(dtype, v, out(f"s{i}_{j}", f"c0 + {j * v}"), j, f"c + {i} * n") + ";" for j in cols)}
% endfor
}
% elif form == "packed":
// Panels of mr rows of A: d[panel][p][mr]. Groups: panel, stored matrix.
SOLO __kernel void pack_a(__global X *restrict d, __global const T *restrict a, ulong m, ulong k,
                          ulong am, ulong ak)
{
    const size_t r0 = get_group_id(0) * ${mr}, some = min((size_t)${mr}, (size_t)m - r0);
    d += (get_group_id(1) * get_num_groups(0) + get_group_id(0)) * ${mr} * k;
    a += get_group_id(1) * m * k + r0 * am;
    if (some < ${mr}) {
        for (size_t p = 0; p < k; p++)
            for (size_t i = 0; i < ${mr}; i++)
                d[p * ${mr} + i] = i < some ? ${load1(dtype, "a", "i * am + p * ak")} : 0;
    } else if (ak == 1) {
% for i in rows:
        __global const T *a${i} = a + ${i} * am;
% endfor
        for (size_t p = 0; p < k; p++, d += ${mr}) {
            ${" ".join(f"d[{i}] = {load1(dtype, f'a{i}', 'p')};" for i in rows)}
        }
    } else {
        for (size_t p = 0; p < k; p++, d += ${mr}, a += ak) {
            ${" ".join(f"d[{i}] = {load1(dtype, 'a', f'{i} * am')};" for i in rows)}
        }
    }
}

// Panels of nr columns of B: d[panel][p][nr]. Groups: panel, stored matrix.
SOLO __kernel void pack_b(__global X *restrict d, __global const T *restrict b, ulong n, ulong k,
                          ulong bk, ulong bn)
{
    const size_t c0 = get_group_id(0) * ${nr}, some = min((size_t)${nr}, (size_t)n - c0);
    d += (get_group_id(1) * get_num_groups(0) + get_group_id(0)) * ${nr} * k;
    b += get_group_id(1) * n * k + c0 * bn;
    if (bn == 1 && some == ${nr}) {
        for (size_t p = 0; p < k; p++, d += ${nr}, b += bk) {
            ${" ".join(f"vstore{v}({load(dtype, v, j, 'b')}, {j}, d);" for j in cols)}
        }
    } else if (bn == 1) {
        for (size_t p = 0; p < k; p++, d += ${nr}, b += bk)
            for (size_t j = 0; j < ${nr}; j++)
                d[j] = j < some ? ${load1(dtype, "b", "j")} : 0;
    } else {
        for (size_t j = 0; j < ${nr}; j++, b += bn)
            if (j < some)
                for (size_t p = 0; p < k; p++)
                    d[p * ${nr} + j] = ${load1(dtype, "b", "p * bk")};
            else
                for (size_t p = 0; p < k; p++)
                    d[p * ${nr} + j] = 0;
    }
}

// One register tile over kc steps of k. It starts from what C holds unless this is the first k-range. No
// restrict here: inlined, it leaves an intrinsic behind that the checking simulator does not know.
static inline void tile(__global T *c, __global const X *a, __global const X *b, size_t n, size_t kc,
                        int first, int final, size_t r0, size_t c0, size_t m${bias.replace("restrict ", "")})
{
% for i in rows:
    XV ${", ".join(f"s{i}_{j} = (XV)(0)" for j in cols)};
% endfor
    X t[${mr * nr}];
    const int full = r0 + ${mr} <= m && c0 + ${nr} <= n;
    const size_t tall = min((size_t)${mr}, m - r0), wide = min((size_t)${nr}, n - c0);
    c += r0 * n + c0;
    if (!first) {
        if (full) {
% for i in rows:
            ${" ".join(f"s{i}_{j} = {load(dtype, v, j, f'c + {i} * n')};" for j in cols)}
% endfor
        } else {
            for (size_t i = 0; i < ${mr}; i++)
                for (size_t j = 0; j < ${nr}; j++)
                    t[i * ${nr} + j] = i < tall && j < wide ? ${load1(dtype, "c", "i * n + j")} : 0;
% for i in rows:
            ${" ".join(f"s{i}_{j} = vload{v}({i * nv + j}, t);" for j in cols)}
% endfor
        }
    }
    size_t p = 0;
<%
    def step(u):
        """Step u of the unrolled k loop: nv loads, mr broadcasts, mr * nv MADs."""
        loads = ", ".join(f"q{j} = vload{v}({u * nv + j}, b)" for j in cols)
        mads = "\n".join(f"        {{ const XV x = (XV)(a[{u * mr + i}]); "
                         + " ".join(f"s{i}_{j} = MAD(x, q{j}, s{i}_{j});" for j in cols) + " }" for i in rows)
        return f"        {{ const XV {loads};\n{mads}\n        }}"
%>\
    for (; p + 4 <= kc; p += 4, a += ${4 * mr}, b += ${4 * nr}) {
% for u in range(4):
${step(u)}
% endfor
    }
    for (; p < kc; p++, a += ${mr}, b += ${nr}) {
${step(0)}
    }
% if epilogue:
    if (final) {
% if bias:
        XV ${", ".join(f"w{j} = (XV)(0)" for j in cols)};
        for (size_t j = 0; j < ${nr}; j++)
            t[j] = j < wide ? ${load1(dtype, "bias", "c0 + j")} : 0;
        ${" ".join(f"w{j} = vload{v}({j}, t);" for j in cols)}
% endif
% for i in rows:
        ${" ".join(f"s{i}_{j} = finish(s{i}_{j}, {f'w{j}' if bias else '(XV)(0)'});" for j in cols)}
% endfor
    }
% endif
    if (full) {
% for i in rows:
        ${" ".join(store(dtype, v, f"s{i}_{j}", j, f"c + {i} * n") + ";" for j in cols)}
% endfor
    } else {
% for i in rows:
        ${" ".join(f"vstore{v}(s{i}_{j}, {i * nv + j}, t);" for j in cols)}
% endfor
        for (size_t i = 0; i < tall; i++)
            for (size_t j = 0; j < wide; j++)
                ${store1(dtype, f"t[i * {nr} + j]", "c", "i * n + j")};
    }
}

// Groups: block of `tall` row panels, block of `wide` column panels, matrix. kc: depth of a k-range.
SOLO __kernel void packed(__global T *restrict c, __global const X *restrict a, __global const X *restrict b,
                          __global const long *restrict table, ulong m, ulong n, ulong k,
                          ulong tall, ulong wide, ulong kc${bias})
{
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    const size_t pm = (m + ${mr - 1}) / ${mr}, pn = (n + ${nr - 1}) / ${nr};
    const size_t i0 = get_group_id(0) * tall, i1 = min(i0 + (size_t)tall, pm);
    const size_t j0 = get_group_id(1) * wide, j1 = min(j0 + (size_t)wide, pn);
    a += ia * pm * ${mr} * k;
    b += ib * pn * ${nr} * k;
    c += get_group_id(2) * m * n;
    for (size_t k0 = 0; k0 < k; k0 += kc) {
        const size_t deep = min((size_t)kc, (size_t)k - k0);
        for (size_t j = j0; j < j1; j++)
            for (size_t i = i0; i < i1; i++)
                tile(c, a + (i * k + k0) * ${mr}, b + (j * k + k0) * ${nr}, n, deep, k0 == 0, k0 + kc >= k,
                     i * ${mr}, j * ${nr}, m${", bias" if bias else ""});
    }
}
% elif form == "vector":
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

// Add the `parts` parts of c, `total` elements apart, in order. Groups: block of `per` elements.
SOLO __kernel void fold(__global T *restrict c, __global const T *restrict w, ulong parts, ulong total,
                        ulong per)
{
    const size_t end = min((get_group_id(0) + 1) * (size_t)per, (size_t)total);
    size_t i = get_group_id(0) * (size_t)per;
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
}
% endif
