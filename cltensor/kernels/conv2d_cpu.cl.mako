## The contraction all convolutions are made of, under the cpu schedule: one work-item per group.
##
##     out[row, col] = sum over k of  a[row, k] * b[k, col]
##
## Rows and k are three nested indices each, and where an index leads in a, b and out is a stride, so one program
## serves the forward pass (rows are output pixels, k runs over the window and the input channels), the gradient of the input (rows
## are input pixels of one stride phase, k runs over the taps that reach them and the output channels) and the
## gradient of the filter (rows are window positions and input channels, k runs over output pixels). Columns are
## channels, contiguous in b and out. kernels/convolution.py says which strides make which.
##
## A register tile is mr rows x nv vectors of columns: per k step nv vector loads of b, mr splats of a,
## mr * nv fma. Rows past the last repeat the last one: they compute and store the same numbers again, so no
## tile needs a guard. Every element is one chain of fma over k in order, however rows, columns and ranges of k are
## cut; only `parts` of k, a matter of sizes alone, are added apart.
##
## table, in elements of the buffers:
##   0 rows   1 d1   2 d2          row = (i0 * d1 + i1) * d2 + i2
##   3 a0     4 a1   5 a2          steps in a along i0, i1, i2
##   6 o0     7 o1   8 o2          steps in out along i0, i1, i2
##   9 r0    10 r1  11 r2          k = (q0 * r1 + q1) * r2 + q2
##  12 ka0   13 ka1 14 ka2         steps in a along q0, q1, q2
##  15 kb0   16 kb1 17 kb2         steps in b
##  18 a at  19 b at 20 out at     where row 0, k 0, column 0 lies
##  21 cols  22 b block            columns of out; step in b from one block of nv*v columns to the next
##  23 per   24 sub  25 wide       rows of a group, rows swept for each column block, column blocks of a group
##  26 part  27 deep0 28 deep1     steps of q0 in a part of k; steps of q0 and q1 in a range of k, after which
##                                 accumulators go to out and come back (needs whole column blocks in out)
##  29 out part                    step in out from one part to the next
##
## Params: dtype (of out; a and b have the compute type), v (lanes), mr, nv, unroll (of q2), dense (ka2 is 1),
## beside (a2 is 1 and d2 a multiple of mr, so the rows of a tile lie side by side in a), epilogue (see epilogue.cl.mako;
## its inputs are the last arguments, and k is one part and one range then).
##
## A step of k must not touch the stack. Addresses of mr rows in a, of b, and what they step by are more than the 15
## registers of x86 unless some of it is known: hence dense and beside, worth 5 to 20 %.
<%namespace name="end" file="epilogue.cl.mako"/>
<%
    d = dt(dtype)
    X = d.compute
    XV = vec(X, v)
    rows, cols, nr = range(mr), range(nv), nv * v

    def step(last):
        """One step of k: loads, splats, fma; then on to the next."""
        lines = "const " + XV + " " + ", ".join(f"q{j} = vload{v}({j}, w)" for j in cols) + ";\n"
        for i in rows:
            at = f"z0[e + {i}]" if beside else f"z{i}[e]"
            lines += f"{{ const {XV} x = ({XV})({at}); " + " ".join(
                f"s{i}_{j} = fma(x, q{j}, s{i}_{j});" for j in cols) + " }\n"
        return lines + f"w += kb2; e += {1 if dense else 'ka2'};"
%>\
${end.emit(epilogue, dtype, 16)}
// Groups: block of rows, block of columns, part of k.
SOLO __kernel void contract(__global ${d.cl} *restrict out, __global const ${X} *restrict a,
                            __global const ${X} *restrict b, __global const long *restrict t${end.params(epilogue)})
{
    const long d1 = t[1], d2 = t[2], a2 = t[5], o2 = t[8];
    // from the end of an inner row of rows to the start of the next
    const long a1 = t[4] - d2 * a2, a0 = t[3] - d1 * t[4], o1 = t[7] - d2 * o2, o0 = t[6] - d1 * t[7];
    const long r1 = t[10], r2 = t[11], ka2 = t[14], kb2 = t[17], n = t[21];
    const long row0 = get_group_id(0) * t[23], row1 = min(row0 + t[23], t[0]);
    const long blocks = (n + ${nr - 1}) / ${nr};
    const long j0 = get_group_id(1) * t[25], j1 = min(j0 + t[25], blocks);
    const long part0 = get_group_id(2) * t[26], part1 = min(part0 + t[26], t[9]);
    a += t[18];
    b += t[19];
    out += t[20] + get_group_id(2) * t[29];
    for (long q0 = part0; q0 < part1; q0 += t[27])
    for (long q1 = 0; q1 < r1; q1 += t[28]) {
        const long end0 = min(q0 + t[27], part1), end1 = min(q1 + t[28], r1);
        const int first = q0 == part0 && q1 == 0;
        for (long s0 = row0; s0 < row1; s0 += t[24]) {
            const long s1 = min(s0 + t[24], row1);
            const long from12 = s0 / d2, from2 = s0 - from12 * d2, from0 = from12 / d1, from1 = from12 - from0 * d1;
            for (long j = j0; j < j1; j++) {
                const long c0 = j * ${nr};
                long i1 = from1, i2 = from2;
                long fa = from0 * t[3] + from1 * t[4] + from2 * a2, fo = from0 * t[6] + from1 * t[7] + from2 * o2;
                for (long row = s0; row < s1; row += ${mr}) {
% for i in rows:
                    __global const ${X} *const z${i} = a + fa;
                    const long f${i} = fo;
                    if (row + ${i + 1} < s1) {
                        fa += a2; fo += o2;
                        if (++i2 == d2) {
                            i2 = 0; fa += a1; fo += o1;
                            if (++i1 == d1) { i1 = 0; fa += a0; fo += o0; }
                        }
                    }
% endfor
                    __global ${d.cl} *const o = out + c0;
% for i in rows:
                    ${XV} ${", ".join(f"s{i}_{j} = ({XV})(0)" for j in cols)};
% endfor
% if dtype != "float16":
                    if (!first) {
% for i in rows:
                        ${" ".join(f"s{i}_{j} = vload{v}({j}, o + f{i});" for j in cols)}
% endfor
                    }
% endif
                    for (long k0 = q0; k0 < end0; k0++)
                    for (long k1 = q1; k1 < end1; k1++) {
                        long e = k0 * t[12] + k1 * t[13];
                        __global const ${X} *w = b + j * t[22] + k0 * t[15] + k1 * t[16];
                        long p = 0;
% if unroll > 1:
                        for (; p + ${unroll} <= r2; p += ${unroll}) {
% for u in range(unroll):
                            { ${step(u)} }
% endfor
                        }
% endif
                        for (; p < r2; p++) {
                            ${step(0)}
                        }
                    }
% if epilogue:
                    ${X} ready[${max(nr, 16)}];
% for i in rows:
                    ${" ".join(f"vstore{v}(s{i}_{j}, {j}, ready);" for j in cols)}
                    emit(o + f${i}, ready, min((size_t)${nr}, (size_t)(n - c0)), c0, t[20] + f${i} + c0${end.names(epilogue)});
% endfor
% else:
                    if (c0 + ${nr} <= n || !first) {
% for i in rows:
                        ${" ".join(store(dtype, v, f"s{i}_{j}", j, f"o + f{i}") + ";" for j in cols)}
% endfor
                    } else {
                        ${X} tail[${nr}];
                        const long some = n - c0;
% for i in rows:
                        ${" ".join(f"vstore{v}(s{i}_{j}, {j}, tail);" for j in cols)}
                        for (long c = 0; c < some; c++)
                            ${store1(dtype, "tail[c]", "o", f"f{i} + c")};
% endfor
                    }
% endif
                }
            }
        }
    }
}
