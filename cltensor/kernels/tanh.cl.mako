## tanh in float, for templates that take many: a namespace, not a program.
##
##   own.tanh_fast(V)   the function tanh_fast(x) over vectors of V floats (1: a scalar)
<%def name="tanh_fast(V)"><% T = vec("float", V) %>
// tanh as x P(x^2) / Q(x^2), degrees 13 and 6 (the coefficients of Eigen's ptanh), x below 4e-4 and 1 beyond 9.02: at
// most 4.8 ulp (OpenCL allows 5), in a third of the time of PoCL's own and as fast as Intel's.
static ${T} tanh_fast(${T} x) {
    const ${T} c = clamp(x, -7.90531110763549805f, 7.90531110763549805f);    // of nan anything: not used
    const ${T} s = c * c;
    ${T} p = fma(s, -2.76076847742355e-16f, 2.00018790482477e-13f);
    p = fma(s, p, -8.60467152213735e-11f);
    p = fma(s, p, 5.12229709037114e-08f);
    p = fma(s, p, 1.48572235717979e-05f);
    p = fma(s, p, 6.37261928875436e-04f);
    p = fma(s, p, 4.89352455891786e-03f);
    ${T} q = fma(s, 1.19825839466702e-06f, 1.18534705686654e-04f);
    q = fma(s, q, 2.26843463243900e-03f);
    q = fma(s, q, 4.89352518554385e-03f);
    const ${T} r = select(c * p / q, copysign((${T})(1.0f), x), fabs(x) > 9.02f);
    return select(r, x, !(fabs(x) >= 4e-4f));       // nan too: isnan would be another comparison
}
</%def>
