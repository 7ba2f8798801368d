// Kernels that run device programs, and the memory and streams around them. A block, or in cooperative launches the whole grid,
// takes its rows from the first step of the launch to the last: run_program.h is all that happens inside.
#include <algorithm>
#include <string>

#include "cuda/check.h"
#include "cuda/current_device.cuh"
#include "cuda/decode/cuda_machine.h"
#include "cuda/decode/run_program.h"
#include "cuda/executor.h"

namespace genfast {
namespace cuda {
namespace {

// One block a processor, so that its shared memory holds weights once.
constexpr int kThreads = 512, kBlocksAProcessor = 1;
// Launches that may wait behind the one that runs: between them a caller can be told of progress, or stop.
constexpr int kLaunchesAhead = 2;
constexpr int64_t kPartOfMemory = 8;                // of which the workspace of one call takes one
constexpr int64_t kMostScratch = int64_t{1} << 17;  // floats of a block

__global__ void __launch_bounds__(kThreads, kBlocksAProcessor) decode_rows(const __grid_constant__ Launch launch) {
  extern __shared__ __align__(64) uint8_t shared[];
  const bool together = launch.shape.cooperative;
  DeviceExecutor exec(together);
  Stage stage;
  stage.memory = shared;
  stage.bytes = launch.shape.shared_bytes;
  run_work(exec, block_of(launch, together ? 0 : blockIdx.x, stage.bytes > 0 ? &stage : nullptr), launch.work);
}

constexpr char kKernel[] = "decode_rows";

void enqueue_rows(const Launch& launch, int processors, cudaStream_t stream, const std::string& steps) {
  void* arguments[] = {const_cast<Launch*>(&launch)};
  const auto blocks = static_cast<unsigned>(launch.shape.cooperative ? processors : launch.blocks());
  const auto shared_bytes = static_cast<size_t>(launch.shape.shared_bytes);
  check(launch.shape.cooperative
            ? cudaLaunchCooperativeKernel(decode_rows, dim3(blocks), dim3(kThreads), arguments, shared_bytes, stream)
            : cudaLaunchKernel(decode_rows, dim3(blocks), dim3(kThreads), arguments, shared_bytes, stream),
        kKernel, steps);
}

std::string steps_of(const Launch& launch) {
  return "steps " + std::to_string(launch.work.first) + " to " + std::to_string(launch.work.last);
}

class CudaQueue : public Queue {
 public:
  CudaQueue(int index, int processors) : index_(index), processors_(processors) {
    const CurrentDevice current(index_);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    for (cudaEvent_t& event : events_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  ~CudaQueue() override {
    for (cudaEvent_t event : events_)
      if (event) cudaEventDestroy(event);
    if (stream_) cudaStreamDestroy(stream_);
  }

  void upload(void* to, const void* from, size_t bytes) override {
    const CurrentDevice current(index_);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync to the device", running_);
  }
  void download(void* to, const void* from, size_t bytes) override {
    const CurrentDevice current(index_);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync from the device", running_);
    check(cudaStreamSynchronize(stream_), kKernel, running_);
  }

  void launch(const Launch& launch) override {
    const CurrentDevice current(index_);
    // The event of the launch that was asked for kLaunchesAhead launches ago.
    cudaEvent_t event = events_[count_++ % kLaunchesAhead];
    check(cudaEventSynchronize(event), kKernel, running_);
    running_ = steps_of(launch);
    enqueue_rows(launch, processors_, stream_, running_);
    check(cudaEventRecord(event, stream_), "cudaEventRecord", running_);
  }

 private:
  const int index_, processors_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t events_[kLaunchesAhead] = {};
  int64_t count_ = 0;
  std::string running_;  // what an error that comes late is about
};

class CudaMachine : public Machine {
 public:
  explicit CudaMachine(int index) : index_(index) {
    const CurrentDevice current(index_);
    check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, index_), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&cooperative_, cudaDevAttrCooperativeLaunch, index_), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&shared_bytes_, cudaDevAttrMaxSharedMemoryPerBlockOptin, index_), "cudaDeviceGetAttribute");
    check(cudaFuncSetAttribute(decode_rows, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes_), "cudaFuncSetAttribute");
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    memory_ = static_cast<int64_t>(total);
  }

  void* allocate(size_t bytes, const char* what) override {
    const CurrentDevice current(index_);
    void* memory = nullptr;
    check_memory(cudaMalloc(&memory, bytes), static_cast<int64_t>(bytes), what,
                 "ask for fewer samples at a time, or free what other arrays hold on the device");
    return memory;
  }
  void release(void* memory) override {
    // From destructors, perhaps after CUDA itself is gone: what cannot be freed then is free already.
    int before;
    if (cudaGetDevice(&before) != cudaSuccess) return;
    // Python may drop a model while a graph is captured, to which freeing memory is an error by default.
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cudaThreadExchangeStreamCaptureMode(&mode);
    cudaSetDevice(index_);
    cudaFree(memory);  // waits for what still uses it; an error of that was or will be told by the queue
    cudaSetDevice(before);
    cudaThreadExchangeStreamCaptureMode(&mode);
    cudaGetLastError();
  }
  std::unique_ptr<Queue> queue() override { return std::make_unique<CudaQueue>(index_, processors_); }
  void launch(const Launch& launch, void* stream) const override {
    const CurrentDevice current(index_);
    enqueue_rows(launch, processors_, static_cast<cudaStream_t>(stream), steps_of(launch));
  }
  int device() const override { return index_; }

  Shape shape(const ProgramArrays& program, int64_t rows) const override {
    Shape shape;
    const int64_t blocks = int64_t{processors_} * kBlocksAProcessor;
    shape.block_rows = std::max<int64_t>(1, (rows + blocks - 1) / blocks);
    shape.cooperative = cooperative_ && better_together(program, rows, shape.block_rows);
    if (shape.cooperative) shape.block_rows = rows;
    // Weights that do not fit pass through two halves of it.
    const int64_t resident = program.program.resident_bytes;
    shape.shared_bytes = shape.cooperative ? 0 : resident <= shared_bytes_ ? resident : shared_bytes_ / 128 * 128;
    shape.scratch_floats = scratch(program, shape.block_rows) * (shape.cooperative ? processors_ : 1);
    return shape;
  }

  int64_t most_rows(const ProgramArrays& program) const override {
    const CurrentDevice current(index_);
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    // Of each row: activations, scratch, and its numbers of every site.
    const int64_t row = 4 * (program.floats_per_row + scratch(program, 1)) + 48 * program.program.n_sites;
    return std::max<int64_t>(1, static_cast<int64_t>(free / 2) / row);
  }
  int64_t call_rows(const ProgramArrays& program) const override {
    const int64_t row = 4 * (program.floats_per_row + scratch(program, 1)) + 8;
    return std::max<int64_t>(1, memory_ / kPartOfMemory / row);
  }

 private:
  static int64_t scratch(const ProgramArrays& program, int64_t block_rows) {
    return std::max(program.scratch_floats, std::min(program.wanted_scratch * block_rows, kMostScratch));
  }

  // Whether the grid's dearer barriers cost less than blocks that leave most processors idle: estimates, in cycles of a phase.
  bool better_together(const ProgramArrays& program, int64_t rows, int64_t block_rows) const {
    constexpr double kProductsACycle = 32, kBlockBarrier = 500, kGridBarrier = 4000;
    const double phases = static_cast<double>(std::max<size_t>(1, program.commands.size()));
    const double products = static_cast<double>(program.multiply_adds) / phases;
    const double apart = products * static_cast<double>(block_rows) / kProductsACycle + kBlockBarrier;
    const double together = products * static_cast<double>(rows) / (kProductsACycle * processors_) + kGridBarrier;
    return together < apart;
  }

  const int index_;
  int processors_ = 1, cooperative_ = 0, shared_bytes_ = 0;
  int64_t memory_ = 0;
};

}  // namespace

std::unique_ptr<Machine> make_cuda_machine(int index) { return std::make_unique<CudaMachine>(index); }

}  // namespace cuda
}  // namespace genfast
