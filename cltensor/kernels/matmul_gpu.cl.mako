## C[g] = op(A[g]) @ op(B[g]) under the gpu schedule: local-memory tiles, a small register tile per item.
##
## A group of side x side items makes a tile of (side*each) x (side*each) elements of C; item (x, y) owns rows
## y*each + i and columns x*each + j. k advances by `depth`; parts of
## a tile outside the matrices are loaded as zeros and not stored. Every element is one chain of MADs over
## k = 0, 1, 2, ...: same bits as under the cpu schedule (padding adds x * 0 only past the end of k).
##
## Element (i, j) of op(A) lies at i*am + j*ak, of op(B) at i*bk + j*bn; loads walk the contiguous direction.
##
## dtype     float16 (stored half, computed float), float32, float64, int32, int64
## side      items along each side of a group
## each      rows and columns per item
## depth     k-range in local memory
## epilogue  see epilogue.cl.mako; its inputs are the last arguments
<%namespace name="end" file="epilogue.cl.mako"/>
<%include file="matmul_parts.cl.mako"/>
<%
    tile = side * each
    items = side * side
    d = dt(dtype)
%>
${end.emit(epilogue, dtype, 4)}
__attribute__((reqd_work_group_size(${items}, 1, 1)))
__kernel void tiles(__global T *restrict c, __global const T *restrict a, __global const T *restrict b,
                    __global const long *restrict table, ulong m, ulong n, ulong k,
                    ulong am, ulong ak, ulong bk, ulong bn${end.params(epilogue)})
{
    // One column more than needed: items that read down a column meet different banks.
    __local X sa[${depth}][${tile + 1}], sb[${depth}][${tile + 1}];
    const uint id = get_local_id(0), x = id % ${side}, y = id / ${side};
    const size_t r0 = get_group_id(1) * ${tile}, c0 = get_group_id(0) * ${tile};
    size_t ia, ib;
    matrices_of(get_group_id(2), table, &ia, &ib);
    a += ia * m * k;
    b += ib * k * n;
    c += get_group_id(2) * m * n;
    X s[${each}][${each}];
    for (int i = 0; i < ${each}; i++)
        for (int j = 0; j < ${each}; j++)
            s[i][j] = 0;
    for (size_t k0 = 0; k0 < k; k0 += ${depth}) {
        for (uint e = id; e < ${depth * tile}; e += ${items}) {
            const uint p = ak == 1 ? e % ${depth} : e / ${tile}, i = ak == 1 ? e / ${depth} : e % ${tile};
            sa[p][i] = r0 + i < m && k0 + p < k ? ${load1(dtype, "a", "(r0 + i) * am + (k0 + p) * ak")} : 0;
        }
        for (uint e = id; e < ${depth * tile}; e += ${items}) {
            const uint p = bn == 1 ? e / ${tile} : e % ${depth}, j = bn == 1 ? e % ${tile} : e / ${depth};
            sb[p][j] = c0 + j < n && k0 + p < k ? ${load1(dtype, "b", "(k0 + p) * bk + (c0 + j) * bn")} : 0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        const uint deep = (uint)min((size_t)${depth}, (size_t)k - k0);
        for (uint p = 0; p < deep; p++)
            for (int i = 0; i < ${each}; i++)
                for (int j = 0; j < ${each}; j++)
                    s[i][j] = MAD(sa[p][y * ${each} + i], sb[p][x * ${each} + j], s[i][j]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const size_t q0 = c0 + x * ${each};
    for (int i = 0; i < ${each}; i++) {
        const size_t r = r0 + y * ${each} + i, at = r * n + q0;
        if (r >= m || q0 >= n)
            break;
        const size_t some = min((size_t)${each}, (size_t)n - q0);
% if epilogue:
        X row[${(each + 3) // 4 * 4}];
        for (int j = 0; j < ${each}; j++)
            row[j] = s[i][j];
        emit((__global ${d.cl} *)(c + at), (const ${d.compute} *)row, some, q0,
             get_group_id(2) * m * n + at${end.names(epilogue)});
% else:
        for (size_t j = 0; j < some; j++)
            ${store1(dtype, "s[i][j]", "c", "at + j")};
% endif
    }
}
