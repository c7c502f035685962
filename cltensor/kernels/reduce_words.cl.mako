## What reductions are written with: a namespace, no program.
##
##   parts.needs(schedule, op, src, map, final, before)
##       map1, final1       the map of an element, and what becomes of a result, as functions
##       map16, final16     the same of vectors
##       both16             two partial results in one
<%namespace name="words" file="statements.cl.mako"/>
<%!
from cltensor.kernels.accumulate import accumulator, combine
%>
<%def name="needs(schedule, op, src, map, final, before)">
<%
A = accumulator(src)
T, T16 = A.compute, A.compute + "16"
%>
% if before:
<% wide = f"{T}{16 if schedule == 'cpu' else 4}" %>
${words.needs(before[0], 16 if schedule == "cpu" else 4)}
inline ${wide} mapped(${wide} v0) { ${" ".join(before[0])} return v${before[1]}; }
% endif
% if schedule == "cpu":
inline ${T16} map16(${T16} x) { return ${"mapped(x)" if before else map}; }
inline ${T16} final16(${T16} x, ${T} s) { ${T16} scale = (${T16})(s); return ${final}; }
inline ${T16} both16(${T16} a, ${T16} b) { return ${combine(op, A, 16, "a", "b")}; }
% endif
inline ${T} map1(${T} x) { return ${"mapped(x).s0" if before else map}; }
inline ${T} final1(${T} x, ${T} scale) { return ${final}; }
</%def>
