## C[g] = op(A[g]) @ op(B[g]) under the cpu schedule: one work-item per group, float16-wide vectors.
##
## Element (i, j) of op(A) lies at i*am + j*ak, of op(B) at i*bk + j*bn, so transposition is only strides.
## Both forms add the k products of an element in one chain of MADs, k = 0, 1, 2, ...: the bits do not depend on the
## form, the tile sizes or the number of cores. Products of less than four rows are in matmul_vector.cl.mako.
##
## form    "tiles"   any shape. A group owns `per` rows and `wide` panels of nv*v columns. It copies a panel of op(B),
##                   kc steps deep, into private memory (the first cache), turning it by vectors where B is
##                   transposed, and sweeps its rows over it in register tiles of mr x nv vectors. Rows past the last
##                   repeat it, columns past the last are computed from whatever lies there and dropped.
##                   With `packed`, a launch before, kernel pack, has put all panels of op(B) into memory.
##         "direct"  B has rows along n, M >= mr, N >= nv*v: one register tile per group, straight from A and B; the
##                   last tile of each direction is shifted back, so all are full. A little faster where both sides
##                   are large and rows of B do not compete for the same cache lines.
## dtype   float16 (stored half, computed float), float32, float64, int32, int64
## v       lanes of a vector: 16, for 64-bit types 8
## mr, nv  register tile: mr rows x nv vectors
## kc      steps of k a private panel holds
## unroll  of the loop over k
## packed  tiles: panels come from the launch before
## ahead   tiles: fetch the next rows of A while these are used (not on simulators)
## apart   tiles: each range of k is a product of its own, begun at zero and added to those before it
## epilogue  see epilogue.cl.mako; its inputs are the last arguments of tiles, direct and fold
<%namespace name="end" file="epilogue.cl.mako"/>
<%include file="matmul_parts.cl.mako"/>
<%
    d = dt(dtype)
    nr = nv * v
    rows, cols = range(mr), range(nv)
    C = d.cl
    half = dtype == "float16"

    def step(a, b, u):
        """Step u of an unrolled loop over k: nv loads, mr broadcasts, mr * nv MADs. a: elements, b: pointer."""
        loads = ", ".join(f"q{j} = {b(u * nv + j)}" for j in cols)
        mads = " ".join(f"{{ const XV x = (XV)({a(i)}); "
                        + " ".join(f"s{i}_{j} = MAD(x, q{j}, s{i}_{j});" for j in cols) + " }" for i in rows)
        return f"const XV {loads}; {mads}"
%>
${end.emit(epilogue, dtype, 16)}
% if form == "tiles":
<%
    def zipped(a, b, half_):
        """The lanes of one half of a and of b in turn."""
        first = half_ * v // 2
        return ", ".join(f"{x}.s{i:x}" for i in range(first, first + v // 2) for x in (a, b))

    def turned(names):
        """Statements that make of v rows, `names`, their v columns: log2(v) rounds of zipping; and their names."""
        lines, left, stage = [], v, 0
        while left > 1:
            new = [f"t{stage}_{i}" for i in range(v)]
            for i in range(v):
                lines.append(f"const XV {new[i]} = (XV)({zipped(names[i // 2], names[i // 2 + v // 2], i % 2)});")
            names, left, stage = new, left // 2, stage + 1
        return lines, names
%>\
<%def name="resting(sum='')">
                if (k0 > 0 && some == ${nr}) {
% for i in rows:
                    ${" ".join(f"s{i}_{j} = {sum.format(f'{i}_{j}')}vload{v}({j}, rest + f{i} * n + c0);" for j in cols)}
% endfor
                } else if (k0 > 0) {
% for i in rows:
                    for (size_t j = 0; j < some; j++)
                        tail[j] = rest[f${i} * n + c0 + j];
                    ${" ".join(f"s{i}_{j} = {sum.format(f'{i}_{j}')}vload{v}({j}, tail);" for j in cols)}
% endfor
                }
</%def>\
% if ahead:
// Fetch ahead of use, where the compiler knows how.
#ifdef __has_builtin
#if __has_builtin(__builtin_prefetch)
#define AHEAD(p) __builtin_prefetch(p)
#endif
#endif
% endif
#ifndef AHEAD
#define AHEAD(p)
#endif

// `deep` rows of op(B) from b on into d. The first `whole` can be read as nr elements without passing the end of B;
// of the others `some` columns exist.
static inline void panel_of(${"__global " if packed else ""}X *d, __global const T *b, size_t deep,
                            size_t bk, size_t bn, size_t some, size_t whole)
{
    if (bn == 1) {
        size_t p = 0;
        for (; p < whole; p++, d += ${nr}, b += bk) {
            ${" ".join(f"vstore{v}({load(dtype, v, j, 'b')}, {j}, d);" for j in cols)}
        }
        for (; p < deep; p++, d += ${nr}, b += bk)
            for (size_t j = 0; j < ${nr}; j++)
                d[j] = j < some ? ${load1(dtype, "b", "j")} : 0;
    } else if (bk == 1 && deep >= ${v}) {
        // v x v elements at a time; the last block along k is shifted back
        for (size_t j = 0; j < ${nr}; j += ${v}, d += ${v}) {
% for i in range(v):
            __global const T *const b${i} = b + min(j + ${i}, some - 1) * bn;
% endfor
            for (size_t k = 0; k < deep; k += ${v}) {
                const size_t p = min(k, deep - ${v});
% for i in range(v):
                const XV r${i} = ${load(dtype, v, 0, f"b{i} + p")};
% endfor
<% lines, names = turned([f"r{i}" for i in range(v)]) %>\
% for line in lines:
                ${line}
% endfor
% for i, name in enumerate(names):
                vstore${v}(${name}, 0, d + (p + ${i}) * ${nr});
% endfor
            }
        }
    } else {
        for (size_t p = 0; p < deep; p++, d += ${nr})
            for (size_t j = 0; j < ${nr}; j++)
                d[j] = j < some ? ${load1(dtype, "b", "p * bk + j * bn")} : 0;
    }
}

% if packed:
// All panels of op(B), each `deepest` steps deep: for each matrix, each range of k, one after the other.
// Groups: panel, range of k, matrix. `last` is the number of elements of one B.
SOLO __kernel void pack(__global X *restrict d, __global const T *restrict b, ulong n, ulong k, ulong bk, ulong bn,
                        ulong last, ulong deepest)
{
    const size_t c0 = get_group_id(0) * ${nr}, k0 = get_group_id(1) * deepest, at = k0 * bk + c0 * bn;
    const size_t deep = min((size_t)deepest, (size_t)k - k0);
    d += ((get_group_id(2) * get_num_groups(1) + get_group_id(1)) * get_num_groups(0) + get_group_id(0))
         * deepest * ${nr};
    panel_of(d, b + get_group_id(2) * last + at, deep, bk, bn, min((size_t)${nr}, (size_t)n - c0),
             last >= at + ${nr} ? min(deep, (size_t)((last - at - ${nr}) / bk + 1)) : 0);
}

% endif
// Groups: block of `per` rows, block of `wide` panels, matrix. `last` is the number of elements of one B\
% if packed:
, or of all of its panels, which are b\
% endif
. Between ranges of k the sums rest in C\
% if half:
, which half would round: in `rest`, as large as C, instead\
% endif
.
SOLO __kernel void tiles(__global T *c, __global const T *restrict a,
                         __global const ${"X" if packed else "T"} *restrict b,
                         ${"__global X *rest, " if half else ""}__global const long *restrict table,
                         ulong m, ulong n, ulong k, ulong am, ulong ak_, ulong bk, ulong bn, ulong last,
                         ulong per, ulong wide, ulong deepest${end.params(epilogue)})
{
% if not packed:
    X panel[${kc * nr}] __attribute__((aligned(64)));
% endif
    X tail[${max(nr, 16)}];
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    const size_t ak = ak_, r0 = get_group_id(0) * per, r1 = min(r0 + (size_t)per, (size_t)m);
    const size_t j0 = get_group_id(1) * wide * ${nr}, j1 = min(j0 + (size_t)wide * ${nr}, (size_t)n);
    const size_t first = get_group_id(2) * m * n;
    a += ia * m * k;
    b += ib * last;
    c += first;
% if half:
    rest += first;
% else:
    __global X *const rest = c;
% endif
% if packed:
    const size_t up = (n + ${nr - 1}) / ${nr} * ${nr};          // columns with those that fill the last panel
% endif
    for (size_t k0 = 0; k0 < k; k0 += deepest) {
        const size_t deep = min((size_t)deepest, (size_t)k - k0);
        const int final = k0 + deep == k;
        for (size_t c0 = j0; c0 < j1; c0 += ${nr}) {
            const size_t some = min((size_t)${nr}, j1 - c0);
% if packed:
            __global const X *const panel = b + (k0 * up + c0 * deepest);
% else:
            const size_t at = k0 * bk + c0 * bn;
            panel_of(panel, b + at, deep, bk, bn, some,
                     last >= at + ${nr} ? min(deep, (size_t)((last - at - ${nr}) / bk + 1)) : 0);
% endif
            for (size_t r = r0; r < r1; r += ${mr}) {
% for i in rows:
                const size_t f${i} = min(r + ${i}, r1 - 1);
                __global const T *const a${i} = a + f${i} * am;
                XV ${", ".join(f"s{i}_{j} = (XV)(0)" for j in cols)};
% endfor
                if (c0 == j0 && ak == 1 && r + ${mr} < r1) {
                    const size_t next = ${mr} * am;
                    for (size_t e = k0; e < k0 + deep; e += ${64 // d.size}) {
                        ${" ".join(f"AHEAD(a{i} + next + e);" for i in rows)}
                    }
                }
% if not apart:
                ${resting()}
% endif
                ${'__global ' if packed else ''}const X *w = panel;
                size_t e = k0 * ak, p = 0;
<%
    def tiled(u):
        return step(lambda i: load1(dtype, f"a{i}", "e"), lambda q: f"vload{v}({q}, w)", u) + " e += ak;"
%>\
% if unroll > 1:
                for (; p + ${unroll} <= deep; p += ${unroll}, w += ${unroll * nr}) {
% for u in range(unroll):
                    { ${tiled(u)} }
% endfor
                }
% endif
                for (; p < deep; p++, w += ${nr}) {
                    ${tiled(0)}
                }
% if apart:
                ${resting("s{} + ")}
% endif
% if half:
                if (!final) {
% for i in rows:
                    ${" ".join(f"vstore{v}(s{i}_{j}, {j}, tail);" for j in cols)}
                    for (size_t j = 0; j < some; j++)
                        rest[f${i} * n + c0 + j] = tail[j];
% endfor
                    continue;
                }
% endif
% if epilogue:
                if (final) {
% for i in rows:
                    ${" ".join(f"vstore{v}(s{i}_{j}, {j}, tail);" for j in cols)}
                    emit((__global ${C} *)(c + f${i} * n + c0), (const ${d.compute} *)tail, some, c0,
                         first + f${i} * n + c0${end.names(epilogue)});
% endfor
                    continue;
                }
% endif
                if (some == ${nr}) {
% for i in rows:
                    ${" ".join(store(dtype, v, f"s{i}_{j}", j, f"c + f{i} * n + c0") + ";" for j in cols)}
% endfor
                } else {
% for i in rows:
                    ${" ".join(f"vstore{v}(s{i}_{j}, {j}, tail);" for j in cols)}
                    for (size_t j = 0; j < some; j++)
                        ${store1(dtype, "tail[j]", "c", f"f{i} * n + c0 + j")};
% endfor
                }
            }
        }
    }
}
% elif form == "direct":
// Groups: row tile, column tile, matrix. Rows of B are n apart.
SOLO __kernel void direct(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                          __global const long *restrict table, ulong m, ulong n, ulong k,
                          ulong am, ulong ak${end.params(epilogue)})
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
        ${step(lambda i: load1(dtype, "a", f"{i} * am"), lambda q: load(dtype, v, q, "b"), 0)}
    }
    const size_t at = get_group_id(2) * m * n + r0 * n + c0;
    c += at;
% if epilogue:
    X row[${max(nr, 16)}];
% for i in rows:
    ${" ".join(f"vstore{v}(s{i}_{j}, {j}, row);" for j in cols)}
    emit((__global ${C} *)(c + ${i} * n), (const ${d.compute} *)row, ${nr}, c0, at + ${i} * n${end.names(epilogue)});
% endfor
% else:
% for i in rows:
    ${" ".join(store(dtype, v, f"s{i}_{j}", j, f"c + {i} * n") + ";" for j in cols)}
% endfor
% endif
}
% endif
