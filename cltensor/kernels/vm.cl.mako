## The interpreter: one kernel that runs any block of expressions and full sums, so that a device needs a single
## program before it can compute anything. What to do is data, the words of `code`; kernels/vm.py writes them.
##
## Code is a list of sections, one after the other; results of a section are seen by those behind it.
##
##     n | piece | heads + bodies << 16 + feet << 32        a section walks n elements
##     heads instructions     once, before the walk: numbers spread into registers
##     bodies instructions    for each piece of up to NB vectors of 16 elements
##     feet instructions      once, after the walk: what a sum became
##
##     [ group 0: `piece` elements ][ group 1 ] ...         piece 0: every group does it all, group 0 stores
##
## An instruction is one word of bytes: opcode, destination d, operands a, b, c; `walk`
## and feet take words behind it. Where instructions look:
##
##     r[NR][NB]  registers of NB vectors, in the cache; booleans are 0 and 1, halves are floats
##     S[]        single numbers: first the arguments s0, s1, ..., then what was kept
##     P[]        buffers, the arguments p0, p1, ...
##     t[NA][4]   sums: four vectors each, as in reduce.cl.mako, whose bits they have
##
##     load    r[d] = P[a] at the elements of the piece                             b: 0 float, 1 half, 2 bool
##     store   P[d] = r[a]                                                          b likewise
##     walk    r[d] = P[a] at (element / word) % next word                          b likewise
##     round   r[d] = r[a] rounded to half
##     plus    r[d] = 0 + r[a]: the sum of one element
##     keep    S[d] = the first element of r[a]
##     sum     t[d] += r[a]
##     spread  r[d] = S[a]                                                          a head
##     total   S[d] = the sum in t[a] / the float whose bits the next word holds    a foot
##     part    P[d][group] = the sum in t[a]; the next word is not used             a foot
##     then one opcode for each of `texts`: r[d] = text of r[a], r[b], ...
##
## The last vector of a walk may be short: it is padded with zeros to a full one and computed like the others,
## since scalar forms of exp etc. round differently; only its own elements are stored.
##
## Params
##   texts      per instruction: (lines that compute v<k> from v0 .. v<k-1>, C type of each operand, of the result)
##   buffers    number of arguments p0, p1, ...
##   numbers    number of arguments s0, s1, ...
<%!
from cltensor.kernels.accumulate import LANES
from cltensor.kernels.vm_code import KEPT, NA, NB, NR, OPCODES
op = {name: i for i, name in enumerate(OPCODES)}
%>
<%namespace name="words" file="statements.cl.mako"/>
// Unrolled, these loops take a fifth longer to compile.
#define NO_UNROLL _Pragma("clang loop unroll(disable) vectorize(disable)")
#define EACH NO_UNROLL for (uint v = 0; v < many; ++v)
${words.needs([line for lines, _, _ in texts for line in lines], 16)}
inline float total16(const float16 x, const float scale)
{
    const float8 a = x.lo + x.hi;
    const float4 b = a.lo + a.hi;
    const float2 c = b.lo + b.hi;
    return ((float16)(c.lo + c.hi) / (float16)(scale)).s0;
}

// Element i of p, by the kind of p.
inline float element(__global const float *p, const size_t i, const uint kind)
{
    return kind == 0 ? p[i] : kind == 1 ? vload_half(i, (__global const half *)p) : ((__global const uchar *)p)[i];
}

SOLO __kernel void vm(__global const long *code, const ulong words,
    ${", ".join(f"__global float *p{i}" for i in range(buffers))},
    ${", ".join(f"const float s{i}" for i in range(numbers))})
{
    __global float *P[${buffers}] = {${", ".join(f"p{i}" for i in range(buffers))}};
    float S[${numbers + KEPT}];
% for i in range(numbers):
    S[${i}] = s${i};
% endfor
    float16 r[${NR}][${NB}], t[${NA}][4];
    const size_t g = get_group_id(0);

    for (size_t pc = 0; pc < words;) {
        const size_t n = code[pc], piece = code[pc + 1];
        const uint heads = code[pc + 2] & 0xffff, bodies = (code[pc + 2] >> 16) & 0xffff, feet = code[pc + 2] >> 32;
        const size_t first = piece ? min((size_t)(g * piece), n) : 0, stop = piece ? min((size_t)(first + piece), n) : n;
        const uint widest = min((size_t)${NB}, (size_t)((stop - first + 15) / 16));
        pc += 3;
        for (uint i = 0; i < heads; ++i) {
            const uint w = code[pc + i];
            const float16 x = (float16)(S[(w >> 16) & 255]);
            for (uint v = 0; v < widest; ++v) r[(w >> 8) & 255][v] = x;
        }
        for (uint i = 0; i < feet / 2; ++i)
            for (uint v = 0; v < 4; ++v) t[i][v] = (float16)(0);
        pc += heads;

        for (size_t at = first; at < stop;) {
            const size_t left = stop - at;
            const uint many = max((size_t)1, min((size_t)${NB}, (size_t)(left / 16))), tail = left < 16 ? left : 0;
            for (uint i = 0; i < bodies; ++i) {
                const ulong w = code[pc + i];
                const uint d = (w >> 8) & 255, a = (w >> 16) & 255, b = (w >> 24) & 255, c = (w >> 32) & 255;
                switch (w & 255) {
                case ${op["load"]}:
                    if (tail) {
                        float f[16];
                        vstore16((float16)(0), 0, f);
                        NO_UNROLL for (uint l = 0; l < tail; ++l) f[l] = element(P[a], at + l, b);
                        r[d][0] = vload16(0, f);
                    } else if (b == 0) {
                        EACH r[d][v] = vload16(v, P[a] + at);
                    } else if (b == 1) {
                        EACH r[d][v] = vload_half16(v, (__global const half *)P[a] + at);
                    } else {
                        EACH r[d][v] = convert_float16(vload16(v, (__global const uchar *)P[a] + at));
                    }
                    break;
                case ${op["walk"]}: {
                    const size_t run = code[pc + i + 1], cycle = code[pc + i + 2];
                    size_t k = at / run, j = at - k * run;
                    float f[16];
                    k %= cycle;
                    i += 2;
                    EACH {
                        if (run == 1 && b == 0 && k + 16 <= cycle) {    // a row that lasts: a load like any other
                            r[d][v] = vload16(0, P[a] + k);
                            k = k + 16 == cycle ? 0 : k + 16;
                            continue;
                        }
                        if (j + 16 <= run) {                            // a number that lasts
                            r[d][v] = (float16)(element(P[a], k, b));
                            if ((j += 16) == run) { j = 0; if (++k == cycle) k = 0; }
                            continue;
                        }
                        NO_UNROLL for (uint l = 0; l < 16; ++l) {
                            f[l] = element(P[a], k, b);
                            if (++j == run) { j = 0; if (++k == cycle) k = 0; }
                        }
                        r[d][v] = vload16(0, f);
                    }
                    break;
                }
                case ${op["store"]}:
                    if (!piece && g) break;
                    if (tail) {
                        float f[16];
                        vstore16(r[a][0], 0, f);
                        NO_UNROLL for (uint l = 0; l < tail; ++l) {
                            if (b == 0) P[d][at + l] = f[l];
                            else if (b == 1) vstore_half_rte(f[l], at + l, (__global half *)P[d]);
                            else ((__global uchar *)P[d])[at + l] = convert_uchar(f[l]);
                        }
                    } else if (b == 0) {
                        EACH vstore16(r[a][v], v, P[d] + at);
                    } else if (b == 1) {
                        EACH vstore_half16_rte(r[a][v], v, (__global half *)P[d] + at);
                    } else {
                        EACH vstore16(convert_uchar16(r[a][v]), v, (__global uchar *)P[d] + at);
                    }
                    break;
                case ${op["round"]}:
                    EACH {
                        ushort h[16];
                        vstore_half16_rte(r[a][v], 0, (half *)h);
                        r[d][v] = vload_half16(0, (half *)h);
                    }
                    break;
                case ${op["keep"]}:
                    S[d] = r[a][0].s0;
                    break;
                case ${op["sum"]}: {
                    uint v = 0;
                    if (tail) {     // at the end of a vector, as in reduce.cl.mako; a lone one begins at its first lane
                        float f[32];
                        const int16 own = (int16)(tail) > (int16)(${LANES});
                        vstore16((float16)(0), 0, f);
                        vstore16(select((float16)(0), r[a][0], own), 0, f + (at > first ? 16 - tail : 0));
                        t[d][1] += vload16(0, f);
                        break;
                    }
                    NO_UNROLL for (; v + 4 <= many; v += 4)
                        for (uint k = 0; k < 4; ++k) t[d][k] += r[a][v + k];
                    NO_UNROLL for (; v < many; ++v) t[d][0] += r[a][v];
                    break;
                }
                case ${op["plus"]}:
                    r[d][0] = (float16)(0.0f) + r[a][0];
                    break;
% for k, (lines, operands, result) in enumerate(texts):
                case ${len(OPCODES) + k}:
                    EACH {
% for i, ctype in enumerate(operands):
                        const ${vec(ctype, 16)} v${i} = ${
                            "" if ctype == "float" else "convert_uchar16("}r[${"abc"[i]}][v]${")" if ctype != "float" else ""};
% endfor
% for line in lines:
                        ${line}
% endfor
                        r[d][v] = ${"" if result == "float" else "convert_float16("}v${len(operands)}${
                            ")" if result != "float" else ""};
                    }
                    break;
% endfor
                }
            }
            at += tail ? tail : 16 * many;
        }
        pc += bodies;
        for (uint i = 0; i < feet; i += 2) {
            const uint w = code[pc + i], d = (w >> 8) & 255, a = (w >> 16) & 255;
            const float16 x = (t[a][0] + t[a][1]) + (t[a][2] + t[a][3]);
            if ((w & 255) == ${op["total"]}) S[d] = total16(x, as_float((int)code[pc + i + 1]));
            else if (first < stop) P[d][g] = total16(x, 1.0f);
        }
        pc += feet;
    }
}
