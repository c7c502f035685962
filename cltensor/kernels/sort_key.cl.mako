## What sorting compares: the key of a value, an unsigned integer (order_t). A namespace, not a program.
##
## For floats the bits, with those of negative numbers turned over; both zeros are equal, any nan is above infinity.
## Descending order turns the key over, so that equal values keep their order in both.
<%def name="key(dtype, descending)">
<%
D = dt(dtype)
WIDE = D.compute in ("double", "long", "ulong")
K = "ulong" if WIDE else "uint"
TOP = "0x8000000000000000UL" if WIDE else "0x80000000U"
%>
typedef ${K} order_t;

inline order_t key(__global const ${D.cl} *x, const size_t i)
{
% if D.is_floating:
    const ${D.compute} v = ${load1(dtype, "x", "i")};
    order_t k = v != v ? as_${K}((${D.compute})NAN) & ~${TOP} : v == 0 ? (order_t)0 : as_${K}(v);
    k = k & ${TOP} ? ~k : k | ${TOP};
% else:
    const order_t k = (order_t)(${"long" if WIDE else "int"})x[i] ^ ${TOP};
% endif
    return ${"~k" if descending else "k"};
}
</%def>
