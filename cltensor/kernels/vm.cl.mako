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
## An instruction is one word of bytes: opcode, destination d, operands a, b, c, ...; `walk`, `parts`
## and feet take words behind it (word: the bits of a float). Where instructions look:
##
##     r[NR][NB]  registers of NB vectors, in the cache; booleans are 0 and 1, halves are floats
##     S[]        single numbers: first the arguments s0, s1, ..., then what was kept
##     P[]        buffers, the arguments p0, p1, ...
##     t[NA][4]   sums: four vectors each, as in reduce.cl.mako, whose bits they have
##
##     load    r[d] = P[a] at the elements of the piece           store   P[d] = r[a]
##     walk    r[d] = P[a] at (element / word) % next word        keep    S[d] = the first element of r[a]
##     plus    r[d] = 0 + r[a]: the sum of one element            round   r[d] = r[a] rounded to half
##     sum     t[d] += r[a]                                       parts   r[d] = the sum of b floats of P[a] / word
##     spread  r[d] = S[a]                           (head)
##     total   S[d] = the sum in t[a] / word         (foot)       part    P[d][group] = the sum in t[a]   (foot)
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
from cltensor.kernels.vm_code import KEPT, NA, NB, NR, OPCODES
op = {name: i for i, name in enumerate(OPCODES)}
STORED = (("", "float", "p[l]", "p[l] = f[l]"),
          ("_half", "half", "vload_half(l, p)", "vstore_half_rte(f[l], l, p)"),
          ("_bool", "uchar", "p[l]", "p[l] = convert_uchar(f[l])"))
%>
<%namespace name="own" file="tanh.cl.mako"/>
#define BOOL(m) (convert_uchar16(-(m)))
% if any("tanh_fast" in line for lines, _, _ in texts for line in lines):
${own.tanh_fast(16)}
% endif

inline float total16(const float16 x, const float scale)
{
    const float8 a = x.lo + x.hi;
    const float4 b = a.lo + a.hi;
    const float2 c = b.lo + b.hi;
    return ((float16)(c.lo + c.hi) / (float16)(scale)).s0;
}

% for name, ctype, fetch, keep in STORED:
// The first `some` <= 16 elements of p, zeros behind them.
inline float16 few${name}(__global const ${ctype} *p, const uint some)
{
    float f[16];
    for (uint l = 0; l < 16; ++l) f[l] = l < some ? ${fetch} : 0.0f;
    return vload16(0, f);
}

inline void put${name}(const float16 x, __global ${ctype} *p, const uint some)
{
    float f[16];
    vstore16(x, 0, f);
    for (uint l = 0; l < some; ++l) ${keep};
}

% endfor
// `some` < 16 elements of x moved by `by` lanes, zeros elsewhere.
inline float16 moved(const float16 x, const uint some, const uint by)
{
    float f[16], w[32];
    vstore16(x, 0, f);
    vstore16((float16)(0), 0, w);
    for (uint l = 0; l < some; ++l) w[l + by] = f[l];
    return vload16(0, w);
}

// The sum of a few partial sums, in the order of `rows` in reduce.cl.mako.
inline float sum_parts(__global const float *p, const uint n, const float scale)
{
    float16 s0 = (float16)(0), s1 = s0;
    uint i = 0;
    for (; i + 16 <= n; i += 16) s0 += vload16(0, p + i);
    if (i < n) s1 += moved(few(p + i, n - i), n - i, i ? 16 - (n - i) : 0);
    return total16(s0 + s1, scale);
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
                    if (tail) r[d][0] = few(P[a] + at, tail);
                    else for (uint v = 0; v < many; ++v) r[d][v] = vload16(v, P[a] + at);
                    break;
                case ${op["load_half"]}: {
                    __global const half *p = (__global const half *)P[a] + at;
                    if (tail) r[d][0] = few_half(p, tail);
                    else for (uint v = 0; v < many; ++v) r[d][v] = vload_half16(v, p);
                    break;
                }
                case ${op["load_bool"]}: {
                    __global const uchar *p = (__global const uchar *)P[a] + at;
                    if (tail) r[d][0] = few_bool(p, tail);
                    else for (uint v = 0; v < many; ++v) r[d][v] = convert_float16(vload16(v, p));
                    break;
                }
                case ${op["walk"]}: {
                    const size_t run = code[pc + i + 1], cycle = code[pc + i + 2];
                    size_t k = at / run, j = at - k * run;
                    k %= cycle;
                    i += 2;
                    for (uint v = 0; v < many; ++v) {
                        float f[16];
                        for (uint l = 0; l < 16; ++l) {
                            f[l] = P[a][k];
                            if (++j == run) { j = 0; if (++k == cycle) k = 0; }
                        }
                        r[d][v] = vload16(0, f);
                    }
                    break;
                }
                case ${op["store"]}:
                    if (!piece && g) break;
                    if (tail) put(r[a][0], P[d] + at, tail);
                    else for (uint v = 0; v < many; ++v) vstore16(r[a][v], v, P[d] + at);
                    break;
                case ${op["store_half"]}: {
                    __global half *p = (__global half *)P[d] + at;
                    if (!piece && g) break;
                    if (tail) put_half(r[a][0], p, tail);
                    else for (uint v = 0; v < many; ++v) vstore_half16_rte(r[a][v], v, p);
                    break;
                }
                case ${op["store_bool"]}: {
                    __global uchar *p = (__global uchar *)P[d] + at;
                    if (!piece && g) break;
                    if (tail) put_bool(r[a][0], p, tail);
                    else for (uint v = 0; v < many; ++v) vstore16(convert_uchar16(r[a][v]), v, p);
                    break;
                }
                case ${op["round"]}:
                    for (uint v = 0; v < many; ++v) {
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
                        t[d][1] += moved(r[a][0], tail, at > first ? 16 - tail : 0);
                        break;
                    }
                    for (; v + 4 <= many; v += 4)
                        for (uint k = 0; k < 4; ++k) t[d][k] += r[a][v + k];
                    for (; v < many; ++v) t[d][0] += r[a][v];
                    break;
                }
                case ${op["parts"]}:
                    r[d][0] = (float16)(sum_parts(P[a], b, as_float((int)code[pc + ++i])));
                    break;
                case ${op["plus"]}:
                    r[d][0] = (float16)(0.0f) + r[a][0];
                    break;
% for k, (lines, operands, result) in enumerate(texts):
                case ${len(OPCODES) + k}:
                    for (uint v = 0; v < many; ++v) {
% for i, ctype in enumerate(operands):
                        const ${vec(ctype, 16)} v${i} = ${
                            "" if ctype == "float" else "convert_uchar16("}r[${"abce"[i]}][v]${")" if ctype != "float" else ""};
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
