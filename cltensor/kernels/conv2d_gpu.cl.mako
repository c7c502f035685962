## The contraction all convolutions are made of, under the gpu schedule. What it computes and its table: see
## conv2d_cpu.cl.mako (entries 22 to 25, 27 and 28 are not used; b has its columns next to each other).
##
## An item owns mr rows of one column; neighbours in a group own neighbouring columns, so b and out are read and
## written side by side, and a is the same address for all items of a tile of rows. Rows past the last repeat it.
##
## Params: dtype (of out; a and b have the compute type), mr, depthwise, epilogue (see epilogue.cl.mako).
<%namespace name="end" file="epilogue.cl.mako"/>
<%
    d = dt(dtype)
    X = d.compute
    rows = range(mr)
%>\
${end.emit(epilogue, dtype, 4)}
__attribute__((reqd_work_group_size(64, 1, 1)))
__kernel void contract(__global ${d.cl} *restrict out, __global const ${X} *restrict a,
                       __global const ${X} *restrict b, __global const long *restrict t${end.params(epilogue)})
{
    const size_t n = t[21], tiles = (t[0] + ${mr - 1}) / ${mr}, total = tiles * n;
    const size_t id = get_global_id(0);
    if (id >= total)
        return;
    const size_t tile = id / n, c = id - tile * n, d1 = t[1], d2 = t[2];
    const long r1 = t[10], r2 = t[11], ka2 = t[14], kb2 = t[17];
    const long part0 = get_group_id(1) * t[26], part1 = min(part0 + t[26], t[9]);
    b += t[19] + c;
    a += t[18]${" + c" if depthwise else ""};
    out += t[20] + get_group_id(1) * t[29] + c;
% for i in rows:
    const size_t row${i} = min(tile * ${mr} + ${i}, (size_t)t[0] - 1), x${i} = row${i} / d2, y${i} = x${i} / d1;
    const long u${i} = y${i}, v${i} = x${i} - y${i} * d1, w${i} = row${i} - x${i} * d2;
    __global const ${X} *const a${i} = a + u${i} * t[3] + v${i} * t[4] + w${i} * t[5];
    ${X} s${i} = 0;
% endfor
    for (long k0 = part0; k0 < part1; k0++)
        for (long k1 = 0; k1 < r1; k1++) {
            long e = k0 * t[12] + k1 * t[13];
            __global const ${X} *w = b + k0 * t[15] + k1 * t[16];
            for (long p = 0; p < r2; p++, w += kb2, e += ka2) {
                const ${X} q = *w;
% for i in rows:
                s${i} = fma(a${i}[e], q, s${i});
% endfor
            }
        }
% for i in rows:
    {
        const size_t at = u${i} * t[6] + v${i} * t[7] + w${i} * t[8];
% if epilogue:
        const ${X} ready[4] = {s${i}, 0, 0, 0};
        emit(out + at, ready, 1, c, t[20] + at + c${end.names(epilogue)});
% else:
        ${store1(dtype, f"s{i}", "out", "at")};
% endif
    }
% endfor
}
