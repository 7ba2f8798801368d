// The Backend of this room (engine/backend.h): plans compiled into device programs, decoders that hold a tile's memory on a
// Machine. Made by whoever registers a device; the core never sees more than the interface.
#pragma once
#include <memory>

#include "cuda/decode/machine.h"
#include "engine/backend.h"

namespace genfast {
namespace cuda {

std::unique_ptr<Backend> make_backend(std::shared_ptr<Machine> machine, Precision precision);

}  // namespace cuda
}  // namespace genfast
