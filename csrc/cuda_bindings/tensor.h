// Arrays of other libraries, on any device, by DLPack (https://dmlc.github.io/dlpack/): where they lie and what they hold. For the
// bind_*.cc files; reads nothing of the memory itself. The structs are DLPack's binary interface, versions 0 and 1.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

namespace genfast {

namespace dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum Code : uint8_t { kInt = 0, kUint = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Tensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;  // in elements; null where the array is contiguous
  uint64_t byte_offset;
};
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};
struct ManagedVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;  // bit 0: read-only
  Tensor tensor;
};

}  // namespace dlpack

// A borrowed array; it is given back when the object dies.
class Tensor {
 public:
  // Takes the capsule over. Throws pybind11::value_error when it is none, or was used before.
  explicit Tensor(const pybind11::capsule& capsule) {
    const char* name = capsule.name();
    const std::string called = name ? name : "";
    if (called == "dltensor_versioned") {
      versioned_ = capsule.get_pointer<dlpack::ManagedVersioned>();
      if (versioned_->major > 1)
        throw pybind11::value_error("this array speaks DLPack " + std::to_string(versioned_->major) + ", genfast version 1");
      tensor_ = &versioned_->tensor;
      read_only_ = versioned_->flags & 1;
    } else if (called == "dltensor") {
      plain_ = capsule.get_pointer<dlpack::Managed>();
      tensor_ = &plain_->tensor;
    } else {
      throw pybind11::value_error("not a DLPack capsule that can still be used: " + called);
    }
    PyCapsule_SetName(capsule.ptr(), versioned_ ? "used_dltensor_versioned" : "used_dltensor");
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() {
    if (versioned_ && versioned_->deleter) versioned_->deleter(versioned_);
    if (plain_ && plain_->deleter) plain_->deleter(plain_);
  }

  void* data() const { return static_cast<char*>(tensor_->data) + tensor_->byte_offset; }
  int device_type() const { return tensor_->device_type; }
  int device_id() const { return tensor_->device_id; }
  bool read_only() const { return read_only_; }
  int code() const { return tensor_->code; }
  int bits() const { return tensor_->bits; }
  bool is(int code, int bits) const { return tensor_->code == code && tensor_->bits == bits && tensor_->lanes == 1; }
  std::string dtype() const {
    static const char* const names[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
    const std::string kind = tensor_->code < 7 ? names[tensor_->code] : "code " + std::to_string(tensor_->code) + " ";
    const std::string lanes = tensor_->lanes == 1 ? "" : "x" + std::to_string(tensor_->lanes);
    return kind == "bool" ? kind : kind + std::to_string(tensor_->bits) + lanes;
  }
  std::vector<int64_t> shape() const { return {tensor_->shape, tensor_->shape + tensor_->ndim}; }
  int64_t size() const {
    int64_t size = 1;
    for (int32_t i = 0; i < tensor_->ndim; ++i) size *= tensor_->shape[i];
    return size;
  }
  bool contiguous() const {
    if (!tensor_->strides || size() == 0) return true;
    int64_t step = 1;
    for (int32_t i = tensor_->ndim; i-- > 0; step *= tensor_->shape[i])
      if (tensor_->shape[i] != 1 && tensor_->strides[i] != step) return false;
    return true;
  }

 private:
  dlpack::Managed* plain_ = nullptr;
  dlpack::ManagedVersioned* versioned_ = nullptr;
  const dlpack::Tensor* tensor_ = nullptr;
  bool read_only_ = false;
};

}  // namespace genfast
