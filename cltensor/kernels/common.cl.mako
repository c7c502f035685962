## What every program starts with. Params: fp64 (the program uses double).
##
## FP_CONTRACT OFF: a fused and an unfused chain must give the same bits, so a * b + c may not become an
## fma behind our back; where one is meant it is written fma().
#pragma OPENCL FP_CONTRACT OFF
% if fp64:
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
// One work-item per group owns a contiguous block (cpu schedule); see docs/architecture.md.
#define SOLO __attribute__((reqd_work_group_size(1, 1, 1)))

// The error word {flag, op, index, limit}; the first finder wins often enough, any finder is a true one.
#define REPORT(word, op, index, limit) \
    { (word)[1] = (op); (word)[2] = (int)(index); (word)[3] = (int)(limit); (word)[0] = 1; }
