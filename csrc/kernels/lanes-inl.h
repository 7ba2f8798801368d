// Lane operations that need no instruction of their own. Included once per target by all-inl.h.
namespace genfast {
namespace GENFAST_NS {
namespace {

GENFAST_INLINE f32x16 abs(f32x16 x) { return bits_and(x, uint32_t{0x7fffffff}); }
GENFAST_INLINE f32x16 copysign(f32x16 x, f32x16 s) { return bits_or(abs(x), bits_and(s, uint32_t{0x80000000})); }
GENFAST_INLINE f64x8 abs(f64x8 x) { return bits_and(x, uint64_t{0x7fffffffffffffff}); }
// Whether any lane is set.
GENFAST_INLINE bool any(m64x8 m) { return mask_bits(m) != 0; }
GENFAST_INLINE f64x8 copysign(f64x8 x, f64x8 s) { return bits_or(abs(x), bits_and(s, uint64_t{0x8000000000000000})); }

}  // namespace
}  // namespace GENFAST_NS
}  // namespace genfast
