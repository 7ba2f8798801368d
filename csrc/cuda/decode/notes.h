// What the first failure was made of, for its message: notes behind Block::failure. A block that holds the first failure so far
// leaves one, which nobody else writes to; the host reads that of the failure that was first in the end. Called by family_head.h
// and decoder.cc.
#pragma once
#include "base/families.h"
#include "cuda/decode/program.h"

namespace genfast {
namespace cuda {

struct Note {
  uint64_t key;       // of the failure; kNoFailure: free
  int64_t component;  // whose parameters these are; of as many as the mixture has: its logits are bad
  double params[kMaxFamilyParams];
};
constexpr int64_t kNotes = 64;
// Of Block::failure where it is one.
constexpr int64_t kFailureWords = 1 + kNotes * static_cast<int64_t>(sizeof(Note) / sizeof(uint64_t));

// What other blocks may change at any time.
GENFAST_INLINE uint64_t failure_now(const uint64_t* failure) { return *static_cast<const volatile uint64_t*>(failure); }

GENFAST_INLINE bool claim(Note& note, uint64_t key) {
#if defined(__CUDA_ARCH__)
  return atomicCAS(reinterpret_cast<unsigned long long*>(&note.key), static_cast<unsigned long long>(kNoFailure),
                   static_cast<unsigned long long>(key)) == static_cast<unsigned long long>(kNoFailure);
#else
  if (note.key != kNoFailure) return false;
  note.key = key;
  return true;
#endif
}

// A note of one's own with this key, or null where all are taken.
GENFAST_HD inline Note* new_note(uint64_t* failure, uint64_t key) {
  Note* notes = reinterpret_cast<Note*>(failure + 1);
  for (int64_t k = 0; k < kNotes; ++k)
    if (claim(notes[k], key)) return notes + k;
  return nullptr;
}

}  // namespace cuda
}  // namespace genfast
