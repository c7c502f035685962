## What the statements of expressions are written with, for every template that renders them: a namespace, no program.
##
##   words.needs(lines, V)   macros, and the functions these lines call, over vectors of V
<%namespace name="hyperbolic" file="tanh.cl.mako"/>
<%namespace name="angles" file="trigonometry.cl.mako"/>
<%namespace name="errors" file="erf.cl.mako"/>
<%def name="needs(lines, V)">
#define BOOL(m) (convert_uchar${V}(-(m)))
#define ROUND_HALF(type, name, value) \
    ushort h_##name[${V}]; vstore_half${V}_rte(value, 0, (half *)h_##name); \
    type name = vload_half${V}(0, (half *)h_##name);

% for name in ("pow", "fmod"):
% if any(f"{name}_lanes" in line for line in lines):
${one_by_one(name, V)}
% endif
% endfor
% if any("tanh_fast" in line for line in lines):
${hyperbolic.tanh_fast(V)}
% endif
% if any("erf_fast" in line for line in lines):
${errors.erf_fast(V)}
% endif
% for name in ("sin", "cos", "tan"):
% if any(f"{name}_fast" in line for line in lines):
${angles.by_quarters(name, V)}
% endif
% endfor
</%def>
<%def name="one_by_one(name, V)"><% T = vec("double", V) %>
// PoCL 3.1's vector ${name} of doubles is wrong for some values (2.2625^2.5 by 2^5, fmod near the
// smallest); its scalar ${name} is right.
static ${T} ${name}_lanes(${T} x, ${T} y) {
    double a[${V}], b[${V}];
    vstore${V}(x, 0, a);
    vstore${V}(y, 0, b);
    for (uint i = 0; i < ${V}; ++i) a[i] = ${name}(a[i], b[i]);
    return vload${V}(0, a);
}
</%def>
