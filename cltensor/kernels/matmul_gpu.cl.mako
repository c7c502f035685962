## C[g] = op(A[g]) @ op(B[g]) under the gpu schedule: tiles in local memory, a tile of registers per item.
##
## A group makes a tile of mwg x nwg elements of C, group (gx, gy, g) the one at row gy * mwg, column gx * nwg of product
## g. It goes along k in steps of kwg; for each step a tile of A and one of B lie in local memory, twice:
##
##                 nwg                     while the items multiply the tiles of this step,
##               +------+                  the global loads of the next step are under way to
##           kwg |  B   |                  their registers; then these are put into the other
##               +------+                  pair of tiles, and one barrier ends the step
##        kwg
##       +---+   +------+
##   mwg | A |   |  C   |   in registers of mdimc x ndimc items, mwg / mdimc x nwg / ndimc elements each
##       +---+   +------+
##
## Parts of a tile outside of the matrices are filled with zeros and are not stored. Every element is one chain of MADs
## over k = 0, 1, 2, ..., whatever the parameters: same bits as under the cpu schedule.
##
## A tile is loaded in chunks of 4 elements along the direction that is contiguous in memory, aligned vectors where the
## length of a line allows. A chunk along m (n) is put into its line of local memory as it is; a chunk along k is spread
## over 4 lines, which the padding of a line by one chunk puts into different banks.
##
## What is done with a pair of tiles is in matmul_gpu_mad.cl.mako, which can be exchanged.
##
## dtype         float16 (stored half, computed float), float32, float64, int32, int64
## mwg, nwg      rows and columns of a tile of C            } CLBlast's names (MWG, NWG, KWG, MDIMC, NDIMC, VWM, VWN)
## kwg           steps along k in local memory              } for the same things, so that published values can be tried
## mdimc, ndimc  items of a group along rows and columns    }
## vwm, vwn      lanes of a vector read from local memory, 2 or 4: rows and columns an item owns side by side
## ta, tb        whether A is stored k x m, B n x k
## v             4, the elements of a chunk
## epilogue      see epilogue.cl.mako; its inputs are the last arguments
##
## Divisible: mwg by mdimc * vwm, nwg by ndimc * vwn, kwg by 4, mwg * kwg and nwg * kwg by 4 * mdimc * ndimc.
<%namespace name="end" file="epilogue.cl.mako"/>
<%namespace name="inner" file="matmul_gpu_mad.cl.mako"/>
<%include file="matmul_parts.cl.mako"/>
<%
    items = mdimc * ndimc
    d = dt(dtype)
    compute = {"int32": "uint", "int64": "ulong"}.get(dtype, d.compute)        # as in matmul_parts.cl.mako
    # (letter, lines of its tile, contiguous along k?, lines of the matrix, corner)
    sides = (("a", mwg, not ta, "m", "r0"), ("b", nwg, tb, "n", "c0"))
%>
${end.emit(epilogue, dtype, 4)}
#define XM ${vec(compute, vwm)}
#define XN ${vec(compute, vwn)}
#define LA ${mwg + 4}
#define LB ${nwg + 4}

// The `have` numbers at p, at most 4, and zeros behind them; nothing is read if there are none.
static inline XV chunk(__global const T *p, size_t have, bool aligned)
{
    if (have >= 4)
% if dtype == "float16":
        return vload_half4(0, p);
% else:
        return aligned ? *(__global const XV *)p : vload4(0, p);
% endif
    X t[4];
    for (uint l = 0; l < 4; l++)
        t[l] = l < have ? ${load1(dtype, "p", "l")} : 0;
    return vload4(0, t);
}

// How many of the elements from `at` on lie before `end`, none where the line is outside.
static inline size_t inside(size_t at, size_t end, bool line)
{
    return line && at < end ? end - at : 0;
}

__attribute__((reqd_work_group_size(${items}, 1, 1)))
__kernel void tiles(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                    __global const long *restrict table, ulong m, ulong n, ulong k${end.params(epilogue)})
{
    __local X sa[2][${kwg} * LA] __attribute__((aligned(4 * sizeof(X))));
    __local X sb[2][${kwg} * LB] __attribute__((aligned(4 * sizeof(X))));
    const uint id = get_local_id(0), x = id % ${ndimc}, y = id / ${ndimc};
    const size_t r0 = get_group_id(1) * ${mwg}, c0 = get_group_id(0) * ${nwg};
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    a += ia * m * k;
    b += ib * k * n;
    c += get_group_id(2) * m * n;
    // Buffers begin aligned, so lines of a multiple of 4 elements do, and so do matrices of such lines.
    const bool even_a = ${"k" if not ta else "m"} % 4 == 0, even_b = ${"k" if tb else "n"} % 4 == 0;
<%def name="fetch(k0)">
% for s, tile, along_k, size, corner in sides:
% for q in range(tile * kwg // 4 // items):
    {
        const uint e = id + ${q * items};
% if along_k:
        const size_t line = ${corner} + e / ${kwg // 4}, at = ${k0} + e % ${kwg // 4} * 4;
        next_${s}${q} = chunk(${s} + line * k + at, inside(at, k, line < ${size}), even_${s});
% else:
        const size_t line = ${k0} + e / ${tile // 4}, at = ${corner} + e % ${tile // 4} * 4;
        next_${s}${q} = chunk(${s} + line * ${size} + at, inside(at, ${size}, line < k), even_${s});
% endif
    }
% endfor
% endfor
</%def>\
<%def name="put(which)">
% for s, tile, along_k, size, corner in sides:
% for q in range(tile * kwg // 4 // items):
    {
        const uint e = id + ${q * items};
% if along_k:
        __local X *const to = s${s}[${which}] + e % ${kwg // 4} * 4 * L${s.upper()} + e / ${kwg // 4};
% for l in range(4):
        to[${l} * L${s.upper()}] = next_${s}${q}.s${l};
% endfor
% else:
        *(__local XV *)(s${s}[${which}] + e / ${tile // 4} * L${s.upper()} + e % ${tile // 4} * 4) = next_${s}${q};
% endif
    }
% endfor
% endfor
</%def>\
    XV ${", ".join(f"next_{s}{q}" for s, tile, *_ in sides for q in range(tile * kwg // 4 // items))};
${inner.registers()}
${fetch("0")}
${put("0")}
    barrier(CLK_LOCAL_MEM_FENCE);
    uint now = 0;
    for (size_t k0 = 0; k0 < k; k0 += ${kwg}) {
        // Past the end of k this loads nothing and puts zeros that nobody reads.
${fetch(f"(k0 + {kwg})")}
        const uint deep = (uint)min((size_t)${kwg}, (size_t)k - k0);
${inner.multiply("sa[now]", "sb[now]")}
        now ^= 1;
${put("now")}
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% for row, column, s in inner.module.held(mwg // mdimc, nwg // ndimc, mdimc, ndimc, vwm, vwn):
    {
        const size_t r = r0 + ${row}, q = c0 + ${column}, at = r * n + q;
        if (r < m && q < n) {
            const size_t some = min((size_t)${vwn}, (size_t)n - q);
            X t[4];
            vstore${vwn}(${s}, 0, t);
% if epilogue:
% if vwn < 4:
            t[2] = t[3] = 0;
% endif
            emit((__global ${d.cl} *)(c + at), (const ${d.compute} *)t, some, q,
                 get_group_id(2) * m * n + at${end.names(epilogue)});
% else:
            if (some == ${vwn})
                ${store(dtype, vwn, s, 0, "c + at")};
            else
                for (size_t l = 0; l < some; l++)
                    ${store1(dtype, "t[l]", "c", "at + l")};
% endif
        }
    }
% endfor
}
