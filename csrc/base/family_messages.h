// What is said where a network's output makes no distribution of a family, or no mixture of them: one wording for the heads of the
// engine and of devices. Words only.
#pragma once
#include <cstdio>
#include <string>

#include "base/families.h"

namespace genfast {

// p: the family's parameters. component: of a mixture; -1: there is none.
inline std::string no_distribution(Family family, const double* p, int64_t component) {
  std::string text;
  for (int j = 0; j < info(family).params; ++j) {
    char number[32];
    std::snprintf(number, sizeof number, "%s%.9g", j ? ", " : "", p[j]);
    text += number;
  }
  return "the model's output makes no " + std::string(info(family).name) + ": its parameters" +
         (component >= 0 ? " of component " + std::to_string(component) : "") + " are (" + text +
         "); check the weights, the conditions and the head's links";
}

inline std::string no_mixture() {
  return "the logits of the mixture are NaN, +inf or all -inf; check the weights and the conditions";
}

}  // namespace genfast
