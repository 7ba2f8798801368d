// The floating-point environment that every kernel assumes: round to nearest, subnormals kept, exceptions masked. Threads inherit
// whatever the application set (torch.set_flush_denormal, a game engine's FTZ), so each pool job runs inside this scope, which puts
// the caller's environment back. It never changes anything for longer than its own lifetime.
#pragma once
#include <cstdint>

#if defined(__FAST_MATH__)
#error "genfast gives the same bits everywhere and cannot be built with -ffast-math"
#endif

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#include <cfenv>
#endif

namespace genfast {

class IeeeFloatScope {
 public:
  IeeeFloatScope(const IeeeFloatScope&) = delete;
  IeeeFloatScope& operator=(const IeeeFloatScope&) = delete;

#if defined(__SSE__) || defined(_M_X64)
  IeeeFloatScope() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }
  ~IeeeFloatScope() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  IeeeFloatScope() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_)::"memory");
    asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}) : "memory");
  }
  ~IeeeFloatScope() { asm volatile("msr fpcr, %0" ::"r"(saved_) : "memory"); }

 private:
  uint64_t saved_;
#else
  IeeeFloatScope() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~IeeeFloatScope() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
};

}  // namespace genfast
