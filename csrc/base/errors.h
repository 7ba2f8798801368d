// The typed errors of the core. Thrown anywhere below bindings/, translated to Python in bindings/ and nowhere else.
// A message names the culprit (argument, node, file) and what to do.
#pragma once
#include <stdexcept>
#include <string>

namespace genfast {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class FormatError : public Error {
 public:
  using Error::Error;
};  // a file that is not a valid .genfast file
class NotCausalError : public Error {
 public:
  using Error::Error;
};  // the model reads sites it should not see
class UnsupportedOpError : public Error {
 public:
  using Error::Error;
};  // an op or shape genfast cannot compile
class NumericalError : public Error {
 public:
  using Error::Error;
};  // NaN or infinite logits, an index out of its table
class DeviceError : public Error {
 public:
  using Error::Error;
};  // a device that is not there, is too old, or failed
class DeviceMemoryError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};  // a device has less memory than was asked for; MemoryError in Python as well
class ArgumentError : public Error {
 public:
  using Error::Error;
};  // ValueError in Python
class Interrupted : public Error {
 public:
  using Error::Error;
};  // the caller's poll asked to stop

}  // namespace genfast
