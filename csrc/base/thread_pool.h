// The one pool of worker threads, for the engine and the samplers. The caller always works too, so a call makes progress whatever
// the pool is doing; results must not depend on which thread runs a task. It never holds the GIL, never prints, survives fork, and
// lets the process exit while it is idle.
#pragma once
#include <cstdint>
#include <functional>

namespace genfast {

// Threads a call may use, the caller included: set_num_threads(), else GENFAST_NUM_THREADS, else the CPUs this process may run on.
// Throws ArgumentError when that variable is not a whole number from 1 to 1024.
int num_threads();
// Throws ArgumentError outside 1 … 1024.
void set_num_threads(int n);

// Runs job(0) … job(tasks - 1), each once, in no fixed order, on at most min(max_threads, num_threads()) threads (max_threads < 1:
// no limit of its own). Every job runs inside an IeeeFloatScope.
//
// `poll` (may be empty) is called on the caller's thread only, between its own tasks and about every 20 ms while it waits for the
// others. It may throw to cancel. Then, as after a job that throws, no further task is started, the running ones are waited for,
// and poll's exception, or the first one of a job, is thrown here.
void parallel_for(int64_t tasks, int max_threads, const std::function<void(int64_t task)>& job,
                  const std::function<void()>& poll = {});

}  // namespace genfast
