#include "engine/backend.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/errors.h"

namespace genfast {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, BackendFactory> factories{{"cpu", make_cpu_backend}};
  std::map<std::string, std::unique_ptr<Backend>> made;
};

Registry& registry() {
  static Registry* instance = new Registry;  // never destroyed: models may outlive static destruction
  return *instance;
}

}  // namespace

void register_backend(const std::string& device, BackendFactory factory) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  registry().factories[device] = std::move(factory);
}

const Backend& backend(const std::string& device) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  const auto factory = r.factories.find(device);
  if (factory == r.factories.end()) {
    std::string known;
    for (const auto& entry : r.factories) known += (known.empty() ? "" : ", ") + entry.first;
    throw ArgumentError("unknown device '" + device + "'; this build has: " + known);
  }
  std::unique_ptr<Backend>& made = r.made[device];
  if (!made) made = factory->second();
  return *made;
}

}  // namespace genfast
