// Mutates JSON text along its structure: numbers become other numbers, values are dropped, doubled, swapped or replaced. Used by
// mutate.cc. It works on tokens, so that the result is usually still JSON and gets past the parser; it never checks anything.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace fuzz {

// SplitMix64: the same mutations for the same seed, everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return n ? static_cast<size_t>(bits() % n) : 0; }
  template <class T, size_t N>
  const T& pick(const T (&items)[N]) {
    return items[below(N)];
  }

 private:
  uint64_t state_;
};

// One value of the text: its span, and whether it is a number, a string, or the key of an object.
struct Span {
  size_t begin = 0, end = 0;
  bool number = false, string = false, key = false;
};

// Every value and key of valid JSON, containers after what they hold.
inline std::vector<Span> spans(const std::string& text) {
  std::vector<Span> out;
  std::vector<size_t> open;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t begin = i++;
    if (c == '"') {
      while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
      ++i;
      size_t next = i;
      while (next < text.size() && text[next] == ' ') ++next;
      out.push_back({begin, i, false, true, next < text.size() && text[next] == ':'});
    } else if (c == '{' || c == '[') {
      open.push_back(begin);
    } else if ((c == '}' || c == ']') && !open.empty()) {
      out.push_back({open.back(), i});
      open.pop_back();
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      while (i < text.size() && std::string("0123456789.eE+-").find(text[i]) != std::string::npos) ++i;
      out.push_back({begin, i, true});
    } else if (c >= 'a' && c <= 'z') {
      while (i < text.size() && text[i] >= 'a' && text[i] <= 'z') ++i;
      out.push_back({begin, i});
    }
  }
  return out;
}

inline std::string odd_number(Random& random, const std::string& old) {
  static const char* const numbers[] = {"-1",
                                        "0",
                                        "1",
                                        "2",
                                        "15",
                                        "16",
                                        "64",
                                        "255",
                                        "1048576",
                                        "16777215",
                                        "16777216",
                                        "16777217",
                                        "268435456",
                                        "536870912",
                                        "1073741824",
                                        "2147483647",
                                        "2147483648",
                                        "-2147483648",
                                        "-2147483649",
                                        "4294967295",
                                        "4294967296",
                                        "1152921504606846976",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775808",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "1e308",
                                        "-1e308",
                                        "1e999",
                                        "5e-324",
                                        "1e38",
                                        "3.5e38",
                                        "0.5",
                                        "-0",
                                        "1.0",
                                        "1e0",
                                        "-2"};
  const long long value = std::strtoll(old.c_str(), nullptr, 10);
  const auto shifted = [&](long long by) {
    return std::to_string(static_cast<long long>(static_cast<uint64_t>(value) + static_cast<uint64_t>(by)));
  };
  switch (random.below(5)) {
    case 0:
      return shifted(1);
    case 1:
      return shifted(-1);
    case 2:
      return shifted(value);
    case 3:
      return std::to_string(random.below(24));
    default:
      return random.pick(numbers);
  }
}

inline void mutate_json(std::string& text, Random& random) {
  const std::vector<Span> all = spans(text);
  if (all.empty()) return;
  const auto text_of = [&](const Span& span) { return text.substr(span.begin, span.end - span.begin); };
  const auto any = [&](auto wanted) {
    for (int attempt = 0; attempt < 200; ++attempt) {
      const Span& span = all[random.below(all.size())];
      if (wanted(span)) return span;
    }
    return all[0];
  };
  const auto number = [](const Span& s) { return s.number; };
  const auto string = [](const Span& s) { return s.string; };
  const auto value = [](const Span& s) { return !s.key; };
  const auto replace = [&](const Span& span, const std::string& by) { text.replace(span.begin, span.end - span.begin, by); };
  const auto drop = [&](Span span) {  // with the comma before or after it, and its key
    if (span.key) span.end = std::min(text.find(':', span.end), text.size() - 1) + 1;
    if (span.end < text.size() && text[span.end] == ',')
      ++span.end;
    else if (span.begin && text[span.begin - 1] == ',')
      --span.begin;
    replace(span, "");
  };
  static const char* const others[] = {"null",  "true", "false",       "{}",          "[]", "\"\"",
                                       "\"x\"", "[[]]", "\"\\u0000\"", "\"\\ud800\"", "7",  "[-1,-1,0,0]"};

  switch (random.below(12)) {
    default: {  // most often a number, the rest by type
      const Span span = any(number);
      replace(span, odd_number(random, text_of(span)));
      break;
    }
    case 0: {
      const Span span = any(number), other = any(number);
      replace(span, text_of(other));
      break;
    }
    case 1: {
      const Span span = any(value), other = any(value);
      replace(span, text_of(other));
      break;
    }
    case 2: {
      const Span span = any(string), other = any(string);
      replace(span, text_of(other));
      break;
    }
    case 3: {
      Span first = any(value), second = any(value);
      if (first.begin > second.begin) std::swap(first, second);
      if (first.end > second.begin) break;
      const std::string a = text_of(first), b = text_of(second);
      replace(second, a);
      replace(first, b);
      break;
    }
    case 4: {
      const Span span = any(value);
      text.insert(span.begin, text_of(span) + ",");
      break;
    }
    case 5:
      drop(any(value));
      break;
    case 6:
      replace(any(value), random.pick(others));
      break;
  }
}

}  // namespace fuzz
