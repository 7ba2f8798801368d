#include "graph/json.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace genfast {
namespace {

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxQuoted = 80;

// Builds the tree itself because nlohmann's own builder keeps the last of two equal keys and nests without limit, and some of its
// functions recurse.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit TreeBuilder(Json& root) : root_(root) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [at, added] = open_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    if (!added) throw FormatError("the key " + in_quotes(name) + " occurs twice in one object");
    slot_ = &at->second;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    const char* text = error.what();
    const char* body = std::strstr(text, "] ");  // after "[json.exception.parse_error.101] "
    throw FormatError("not JSON: " + printable(body ? body + 2 : text));
  }

 private:
  Json* place(Json&& value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_object()) return &(*slot_ = std::move(value));
    auto& array = open_.back()->get_ref<Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }
  bool add(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& container) {
    if (open_.size() == kMaxDepth) throw FormatError("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  Json* slot_ = nullptr;     // where the value of the last key goes
  std::vector<Json*> open_;  // containers around the next value; a parent does not grow while its child is open
};

// Bytes of the UTF-8 sequence at the start of `text`, 0 when it is not a valid one.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F, beyond = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

const Json& field(const Json& object, const char* key) { return object.get_ref<const Json::object_t&>().find(key)->second; }

[[noreturn]] void wrong(const char* what, const std::string& wanted, const Json& got) {
  throw FormatError(std::string(what) + " must be " + wanted + ", got " + picture(got));
}

}  // namespace

Json parse_json(std::string_view text) {
  // To nlohmann's lexer a NUL is the end of the text, so anything might hide behind it.
  if (text.find('\0') != std::string_view::npos) throw FormatError("not JSON: it contains a NUL byte");
  if (text.substr(0, 1) != "{") throw FormatError("must begin with '{'");
  Json root;
  TreeBuilder builder(root);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) throw FormatError("not JSON");
  return root;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      static const char digits[] = "0123456789abcdef";
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && end < kMaxQuoted) end += std::max<size_t>(1, utf8_length(text.substr(end)));
  return '"' + printable(text.substr(0, end)) + (end < text.size() ? "…\"" : "\"");
}

const char* type_of(const Json& json) { return json.type_name(); }

std::string picture(const Json& json) {
  if (json.is_string()) return in_quotes(json.get_ref<const std::string&>());
  if (json.is_array()) return "an array of " + std::to_string(json.size());
  if (json.is_object()) return "an object";
  return json.dump();
}

void expect_keys(const Json& object, std::initializer_list<const char*> required, std::initializer_list<const char*> optional) {
  if (!object.is_object()) throw FormatError("must be an object, got " + picture(object));
  const auto& fields = object.get_ref<const Json::object_t&>();
  size_t known = 0;
  for (const char* key : required) {
    if (!fields.count(key)) throw FormatError("the key " + in_quotes(key) + " is missing");
    ++known;
  }
  for (const char* key : optional) known += fields.count(key);
  if (known == fields.size()) return;
  for (const auto& item : fields) {
    const auto is = [&](const char* key) { return item.first == key; };
    if (std::none_of(required.begin(), required.end(), is) && std::none_of(optional.begin(), optional.end(), is))
      throw FormatError("unknown key " + in_quotes(item.first));
  }
}

int64_t integer_from(const Json& json, const char* what, int64_t low, int64_t high) {
  bool inside = false;
  int64_t value = 0;
  if (json.is_number_unsigned()) {
    const auto u = json.get<uint64_t>();
    value = static_cast<int64_t>(u);
    inside = u <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) && value >= low && value <= high;
  } else if (json.is_number_integer()) {
    value = json.get<int64_t>();
    inside = value >= low && value <= high;
  }
  if (!inside) wrong(what, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), json);
  return value;
}

int64_t integer_at(const Json& object, const char* key, int64_t low, int64_t high) {
  return integer_from(field(object, key), key, low, high);
}

const std::string& string_at(const Json& object, const char* key) {
  const Json& json = field(object, key);
  if (!json.is_string()) wrong(key, "a string", json);
  return json.get_ref<const std::string&>();
}

std::string string_or_empty(const Json& object, const char* key) { return object.contains(key) ? string_at(object, key) : ""; }

bool bool_at(const Json& object, const char* key) {
  const Json& json = field(object, key);
  if (!json.is_boolean()) wrong(key, "true or false", json);
  return json.get<bool>();
}

const Json& array_at(const Json& object, const char* key) {
  const Json& json = field(object, key);
  if (!json.is_array()) wrong(key, "an array", json);
  return json;
}

const Json& object_at(const Json& object, const char* key) {
  const Json& json = field(object, key);
  if (!json.is_object()) wrong(key, "an object", json);
  return json;
}

float float_from(const Json& json, const char* what) {
  if (json.is_number()) {
    const double value = json.get<double>();
    // Beyond this a conversion rounds to infinity; converting more than that is undefined.
    constexpr double limit = 3.4028235677973366e38;
    if (std::abs(value) < limit) return static_cast<float>(value);
  }
  wrong(what, "a finite number that fits a float", json);
}

void read_columns(const Json& array, std::initializer_list<Column> columns) {
  if (!array.is_array() || array.size() != columns.size()) {
    std::string wanted;
    for (const Column& column : columns) wanted += (wanted.empty() ? "" : ", ") + std::string(column.name);
    throw FormatError("must be [" + wanted + "], got " + picture(array));
  }
  size_t i = 0;
  for (const Column& column : columns) *column.out = integer_from(array[i++], column.name, column.low, column.high);
}

}  // namespace genfast
