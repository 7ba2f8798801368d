// Grouping: the schedule turned into steps, each a list of groups of tasks that a backend may run block of rows by block of rows.
#pragma once
#include "plan/readiness.h"

namespace genfast {

std::vector<Step> group_tasks(const Graph& graph, const Structure& structure, const Readiness& readiness, const PerRow& schedule);

}  // namespace genfast
