## Random numbers from Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
## 1, 2, 3", SC 2011): four 32-bit words per 128-bit counter and 64-bit key, no state to carry.
##
## Index map. Block number c = counter + i of a draw gives words w0..w3. Sixteen neighbouring blocks, lane j =
## 0..15, make one group of 64 words (or 32 pairs of words for 64-bit results): result w of lane j is element
## group*64 + w*16 + j (group*32 + w*16 + j). So a group is four (two) whole vectors, and an element depends on key,
## stream, counter and its own index alone: same bits however the work is spread.
##
## kind      "uniform"    lo + u * range, u = top 24 bits * 2^-24 (53 bits for float64), at most `below`
##           "integer"    lo + high part of (word * range)
##           "normal"     mean + z * stddev, z by Box and Muller (1958): z = sqrt(-2 ln u1) * cos(2 pi u2) and
##                        sin; u1 = (bits + 1) * 2^-24 in (0, 1]
##           "truncated"  the same with z by inversion of the normal distribution cut off at 2 and -2
## dtype     of the results; float16 is computed in float
## schedule  "cpu": a work-item draws `per` groups, a lane is a lane of a vector of 16
##           "gpu": a work-item draws one block at a time, stride = number of items; a lane is an item
<%
    d = dt(dtype)
    wide = d.size == 8
    v = 16 if schedule == "cpu" else 1
    results = 2 if wide else 4
    F = d.compute
    bits = 53 if wide else 24
    # z / x as a polynomial in w - 1.21 with w = -ln(1 - (x erf(sqrt 2))^2), x uniform in (-1, 1): Chebyshev
    # interpolation of sqrt(2) erfinv, relative error 2e-18 with all terms, 1e-9 with nine.
    inverse = [1.592265840188485356, 0.33653193493143692995, 0.0037577968789133589607, -0.0030726671110389842229,
               0.00018524391126652919579, 0.00004367793756190267609, -6.6843192949864663199e-6,
               -4.7720714293645285499e-7, 1.7253952517187950408e-7, -1.8561190578538171587e-10,
               -3.7817346889686624466e-9, 2.2921809049250413292e-10, 7.1087630306955181079e-11,
               -9.2564095886014114863e-12, -1.0648294668552274328e-12, 2.3616690580442902409e-13,
               9.2290853454293766124e-15]
    inverse = inverse if wide else inverse[:9]
    def lit(x):
        return literal(d, x)
%>
#define U ${vec("uint", v)}
#define L ${vec("ulong", v)}
// One word per result: 64 bits for 64-bit results.
#define W ${"L" if wide else "U"}
#define T ${vec(F, v)}
#define TO_U convert_${vec("uint", v)}
#define TO_L convert_${vec("ulong", v)}
#define TO_T convert_${vec(F, v)}

// Ten rounds on counters (block, stream) of v lanes; block numbers are start + lane.
static inline void philox(ulong start, ulong stream, uint k0, uint k1, U *w)
{
% if v == 1:
    U c0 = (uint)start, c1 = (uint)(start >> 32);
% else:
    U c0 = (U)((uint)start) + (U)(${", ".join(str(i) for i in range(v))});
    U c1 = (U)((uint)(start >> 32)) + select((U)(0), (U)(1), c0 < (U)((uint)start));
% endif
    U c2 = (U)((uint)stream), c3 = (U)((uint)(stream >> 32));
% for r in range(10):
    {
        const L p0 = TO_L(c0) * (L)(0xD2511F53UL), p1 = TO_L(c2) * (L)(0xCD9E8D57UL);
        c0 = TO_U(p1 >> (L)(32)) ^ c1 ^ (U)(k0);
        c1 = TO_U(p1 & (L)(0xFFFFFFFFUL));
        c2 = TO_U(p0 >> (L)(32)) ^ c3 ^ (U)(k1);
        c3 = TO_U(p0 & (L)(0xFFFFFFFFUL));
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
% endfor
    w[0] = c0;
    w[1] = c1;
    w[2] = c2;
    w[3] = c3;
}

% if wide:
static inline L pair(U low, U high)
{
    return (TO_L(high) << (L)(32)) | TO_L(low);
}
% endif
% if kind == "integer":
typedef ${vec(d.cl, v)} R;
#define PARAMS ${d.cl} lo, ${"ulong" if wide else "uint"} range
#define ARGS lo, range
% elif kind == "uniform":
typedef T R;
#define PARAMS ${F} lo, ${F} range, ${F} below
#define ARGS lo, range, below
% else:
typedef T R;
#define PARAMS ${F} mean, ${F} stddev
#define ARGS mean, stddev
% endif
% if d.is_floating:

// The top bits of a word as a number in [0, 1): exact.
static inline T unit(W word)
{
    return TO_T(word >> (W)(${64 - bits if wide else 32 - bits})) * (T)(${lit(2.0 ** -bits)});
}
% endif
% if kind in ("normal", "truncated"):

// Two statements: no device may contract them into an fma.
static inline T scaled(T z, ${F} mean, ${F} stddev)
{
    const T s = z * (T)(stddev);
    return (T)(mean) + s;
}
% endif
% if kind == "normal":

static inline void box_muller(T u, T turn, PARAMS, R *cosine, R *sine)
{
    const T radius = sqrt(log(u + (T)(${lit(2.0 ** -bits)})) * (T)(${lit(-2.0)}));
    const T angle = turn + turn;
    const T c = radius * cospi(angle), s = radius * sinpi(angle);
    *cosine = scaled(c, ARGS);
    *sine = scaled(s, ARGS);
}
% endif
% if kind == "truncated":

static inline R inverted(W word, PARAMS)
{
    // An odd multiple of 2^-${bits} in (-1, 1): exact, symmetric, never 0.
    const W odd = ((word >> ${64 - bits if wide else 32 - bits}) << 1) + 1;
    const T x = TO_T(as_${vec(d.mask, v)}(odd) - (${"1L" if wide else "1"} << ${bits})) * (T)(${lit(2.0 ** -bits)});
    const T p = x * (T)(${lit(0.9544997361036415856)});
    const T w = -log(fma(-p, p, (T)(${lit(1.0)}))) - (T)(${lit(1.20995144094555240923)});
    T h = (T)(${lit(inverse[-1])});
% for c in reversed(inverse[:-1]):
    h = fma(h, w, (T)(${lit(c)}));
% endfor
    const T z = clamp(x * h, (T)(${lit(-2.0)}), (T)(${lit(2.0)}));
    return scaled(z, ARGS);
}
% endif

// The results of v blocks.
static inline void draw(ulong start, ulong stream, uint k0, uint k1, PARAMS, R *r)
{
    U w[4];
    philox(start, stream, k0, k1, w);
% if kind == "normal" and wide:
    box_muller(unit(pair(w[0], w[1])), unit(pair(w[2], w[3])), ARGS, r, r + 1);
% elif kind == "normal":
    box_muller(unit(w[0]), unit(w[1]), ARGS, r, r + 1);
    box_muller(unit(w[2]), unit(w[3]), ARGS, r + 2, r + 3);
% else:
% for i in range(results):
    {
        const W word = ${f"pair(w[{2 * i}], w[{2 * i + 1}])" if wide else f"w[{i}]"};
% if kind == "integer":
        r[${i}] = as_${vec(d.cl, v)}((W)(as_${"ulong" if wide else "uint"}(lo)) + mul_hi(word, (W)(range)));
% elif kind == "uniform":
        const T s = unit(word) * (T)(range);
        const T y = (T)(lo) + s;
        r[${i}] = fmin(y, (T)(below));
% else:
        r[${i}] = inverted(word, ARGS);
% endif
    }
% endfor
% endif
}

% if schedule == "cpu":
// Groups: block of `per` groups of ${16 * results} elements.
SOLO __kernel void random_fill(__global ${d.cl} *restrict out, ulong n, ulong per, uint k0, uint k1, ulong counter,
                               ulong stream, PARAMS)
{
    const size_t whole = n / ${16 * results}, g0 = get_group_id(0) * (size_t)per;
    const size_t g1 = min(g0 + (size_t)per, whole);
    R r[${results}];
    for (size_t g = g0; g < g1; g++) {
        draw(counter + g * 16, stream, k0, k1, ARGS, r);
% for i in range(results):
        ${store(dtype, 16, f"r[{i}]", f"g * {results} + {i}", "out")};
% endfor
    }
    if (g1 == whole && g0 + per > whole && whole * ${16 * results} < n) {
        ${d.compute} t[${16 * results}];
        draw(counter + whole * 16, stream, k0, k1, ARGS, r);
% for i in range(results):
        vstore16(r[${i}], ${i}, t);
% endfor
        for (size_t i = whole * ${16 * results}; i < n; i++)
            ${store1(dtype, f"t[i - whole * {16 * results}]", "out", "i")};
    }
}
% else:
__attribute__((reqd_work_group_size(64, 1, 1)))
__kernel void random_fill(__global ${d.cl} *restrict out, ulong n, ulong blocks, uint k0, uint k1, ulong counter,
                          ulong stream, PARAMS)
{
    R r[${results}];
    for (size_t b = get_global_id(0); b < blocks; b += get_global_size(0)) {
        draw(counter + b, stream, k0, k1, ARGS, r);
        const size_t first = b / 16 * ${16 * results} + b % 16;
% for i in range(results):
        if (first + ${16 * i} < n)
            ${store1(dtype, f"r[{i}]", "out", f"first + {16 * i}")};
% endfor
    }
}
% endif
