// The target's table of kernels: the one name of a target file that other files can see. Included last by all-inl.h.
#define GENFAST_STRING2(a) #a
#define GENFAST_STRING(a) GENFAST_STRING2(a)

namespace genfast {

extern const Kernels GENFAST_JOIN(GENFAST_NS, _kernels) = {
    GENFAST_STRING(GENFAST_NS),
    GENFAST_JOIN(cpu_runs_, GENFAST_NS),
    GENFAST_NS::gemm,
    {
#define X(name, operands, params) GENFAST_NS::map<numerics::Map_##name, operands, params>,
        GENFAST_MAP_OPS(X)
#undef X
    },
    {
#define X(name, params, reduces) GENFAST_NS::row<RowOp::name>,
        GENFAST_ROW_OPS(X)
#undef X
    },
    GENFAST_NS::lookup,
    GENFAST_NS::attend,
    GENFAST_NS::attend_many,
    GENFAST_NS::categorical,
    GENFAST_NS::categorical_log_prob,
    GENFAST_NS::categorical_interval,
    GENFAST_NS::bernoulli,
    GENFAST_NS::bernoulli_log_prob,
    GENFAST_NS::bernoulli_interval,
    GENFAST_NS::uniform_rows<double>,
    GENFAST_NS::uniform_rows<float>,
    &GENFAST_JOIN(GENFAST_NS, _row_kernels),
    &GENFAST_JOIN(GENFAST_NS, _head_kernels),
    GENFAST_NS::inverse_table,
    {
#define X(name, params) &GENFAST_FAMILY_SYMBOL(GENFAST_NS, name),
        GENFAST_FAMILIES(X)
#undef X
    },
};

}  // namespace genfast
