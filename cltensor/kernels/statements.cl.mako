## What the statements of expressions are written with, for every template that renders them: a namespace, no program.
##
##   words.needs(lines, V)   macros, and the functions these lines call, over vectors of V
<%namespace name="own" file="tanh.cl.mako"/>
<%def name="needs(lines, V)">
#define BOOL(m) (convert_uchar${V}(-(m)))
#define ROUND_HALF(type, name, value) \
    ushort h_##name[${V}]; vstore_half${V}_rte(value, 0, (half *)h_##name); \
    type name = vload_half${V}(0, (half *)h_##name);

% if any("pow_lanes" in line for line in lines):
// PoCL 3.1's vector pow of doubles is wrong for some values (2.2625^2.5 by 2^5); its scalar pow is right.
static double${V} pow_lanes(double${V} x, double${V} y) {
    double a[${V}], b[${V}];
    vstore${V}(x, 0, a);
    vstore${V}(y, 0, b);
    for (uint i = 0; i < ${V}; ++i) a[i] = pow(a[i], b[i]);
    return vload${V}(0, a);
}
% endif
% if any("tanh_fast" in line for line in lines):
${own.tanh_fast(V)}
% endif
</%def>
