// JSON as the reader wants it: parsing that survives any bytes, and accessors that check type and range and name the field in the
// FormatError they throw. Used by container.cc and parse.cc only; nothing outside this folder sees a JSON type.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/errors.h"

namespace genfast {

using Json = nlohmann::json;

// Refuses NUL bytes, duplicate keys, invalid UTF-8 and deep nesting besides everything that is not JSON.
Json parse_json(std::string_view text);

// `text` between quotes, short and printable, whatever bytes it holds: messages become Python strings.
std::string in_quotes(std::string_view text);
std::string printable(std::string_view text);

const char* type_of(const Json& json);
// A short picture of a value for messages.
std::string picture(const Json& json);

// Throws unless `object` is an object with all of `required`, perhaps some of `optional`, and nothing else.
void expect_keys(const Json& object, std::initializer_list<const char*> required, std::initializer_list<const char*> optional = {});

// The field `key` of an object that passed expect_keys.
int64_t integer_at(const Json& object, const char* key, int64_t low, int64_t high);
const std::string& string_at(const Json& object, const char* key);
std::string string_or_empty(const Json& object, const char* key);
bool bool_at(const Json& object, const char* key);
const Json& array_at(const Json& object, const char* key);
const Json& object_at(const Json& object, const char* key);
// A number that fits an f32, rounded to one.
float float_from(const Json& json, const char* what);
int64_t integer_from(const Json& json, const char* what, int64_t low, int64_t high);

struct Column {
  const char* name;
  int64_t low, high;
  int64_t* out;
};
// A fixed-length array of integers, such as [value, table, c0, cn, k0].
void read_columns(const Json& array, std::initializer_list<Column> columns);

// Runs `body`; a FormatError from it gets `where()` in front. The text is only made when there is an error.
template <class Where, class Body>
void within(const Where& where, const Body& body) {
  try {
    body();
  } catch (const FormatError& error) {
    throw FormatError(where() + ": " + error.what());
  }
}

}  // namespace genfast
