## The inner block of the gpu product: what one group does with one pair of tiles in local memory. A namespace, not a
## program; matmul_gpu.cl.mako includes it and knows nothing of its registers, so that it can be exchanged as a whole.
## This one uses multiply-adds, in every dtype.
##
##   registers()       declares an item's accumulators, all zero
##   multiply(a, b)    adds the product of two tiles to them. It finds
##                       a[p * LA + i], b[p * LB + j]   __local X, element (i, p) of op(A), (p, j) of op(B), counted from
##                                                      the tile's corner; zeros outside of the matrices; each line p is
##                                                      aligned to 4 elements
##                       deep                           uint, how many p lie inside of k (kwg but for the last tile)
##                       x, y                           uint, column and row of the item in its group
##                     and has no barrier inside: other items are filling the other pair of tiles.
##   module.held(...)  which elements the item then holds: (row, column, name of a vector of vwn) for each vector, row and
##                     column as C expressions from the tile's corner
##
## Item (x, y) holds the row vectors y, y + mdimc, ... and the column vectors x, x + ndimc, ...: neighbours read
## neighbouring vectors of local memory, in different banks.
##
##      b:          x        x + ndimc          columns
##      a:        +----+      +----+
##      y         |s0_0|      |s0_1|            vwm rows x vwn columns each
##                +----+      +----+
##      y + mdimc |s4_0|      |s4_1|            (names: s<row of the item>_<vector of the item>)
##                +----+      +----+
##
## Where matrix units are to be used (NVIDIA: `mma.sync` as inline PTX), a second file of this form takes the place of
## this one: registers() are the fragments, held() their layout. It must be compiled for trial first, as a driver may
## refuse inline assembly, and it is no tuning parameter: such units round differently, so the bits change.
<%!
    def held(mwi, nwi, mdimc, ndimc, vwm, vwn):
        """(row, column, vector) for every vector of results of an item."""
        return [(f"y * {vwm} + {i // vwm * mdimc * vwm + i % vwm}", f"x * {vwn} + {j * ndimc * vwn}", f"s{i}_{j}")
                for i in range(mwi) for j in range(nwi // vwn)]
%>
<%def name="registers()">
% for _, _, s in held(mwg // mdimc, nwg // ndimc, mdimc, ndimc, vwm, vwn):
    XN ${s} = 0;
% endfor
</%def>
<%def name="multiply(a, b)">
        // A whole tile has a loop of known length, which compilers unroll.
        if (deep == ${kwg})
            for (uint p = 0; p < ${kwg}; p++) {${step(a, b)}}
        else
            for (uint p = 0; p < deep; p++) {${step(a, b)}}
</%def>
<%def name="step(a, b)">
% for i in range(mwg // mdimc // vwm):
            const XM a${i} = *(__local const XM *)(${a} + p * LA + y * ${vwm} + ${i * mdimc * vwm});
% endfor
% for j in range(nwg // ndimc // vwn):
            const XN b${j} = *(__local const XN *)(${b} + p * LB + x * ${vwn} + ${j * ndimc * vwn});
% endfor
% for i in range(mwg // mdimc):
% for j in range(nwg // ndimc // vwn):
            s${i}_${j} = MAD((XN)(a${i // vwm}.s${i % vwm}), b${j}, s${i}_${j});
% endfor
% endfor
</%def>
