// What the machine can do at most: fused multiply-adds from registers, and copying.
// W: lanes of a vector (16 on CPUs, 1 on GPUs); LOCAL: work-items per group (1 on CPUs, 256 on GPUs).
#if W == 16
#define V float16
#define FMA(s) s = fma(s, a, b);
#define SUM(s) (s.s0 + s.s1 + s.sf)
#else
#define V float
#define FMA(s) s = fma(s, a, b);
#define SUM(s) s
#endif

// Ten independent chains hide the latency of two units of four cycles; 20 * W flop a turn.
__attribute__((reqd_work_group_size(LOCAL, 1, 1)))
__kernel void peak(__global float *out, float seed, int turns)
{
    const V a = (V)(seed), b = (V)(1.0f - seed);
    V s0 = a, s1 = a + 1, s2 = a + 2, s3 = a + 3, s4 = a + 4, s5 = a + 5, s6 = a + 6, s7 = a + 7, s8 = a + 8,
      s9 = a + 9;
    for (int i = 0; i < turns; i++) {
        FMA(s0) FMA(s1) FMA(s2) FMA(s3) FMA(s4) FMA(s5) FMA(s6) FMA(s7) FMA(s8) FMA(s9)
    }
    s0 = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9;
    out[get_global_id(0)] = SUM(s0);
}

// A contiguous block per group on CPUs, neighbours side by side on GPUs; n vectors of W.
__attribute__((reqd_work_group_size(LOCAL, 1, 1)))
__kernel void copy(__global float *out, __global const float *in, ulong n)
{
#if LOCAL == 1
    const size_t per = (n + get_num_groups(0) - 1) / get_num_groups(0);
    const size_t first = get_group_id(0) * per, last = min((size_t)n, first + per);
    for (size_t i = first; i < last; i++)
        vstore16(vload16(i, in), i, out);
#else
    for (size_t i = get_global_id(0); i < n; i += get_global_size(0))
        out[i] = in[i];
#endif
}
