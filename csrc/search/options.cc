#include "search/options.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace fastseq {

namespace {

void require(bool ok, const char* name, int64_t value, const std::string& wanted) {
  if (!ok) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + "; expected " + wanted);
  }
}

}  // namespace

void check_options(const SearchOptions& options) {
  require(options.num_beams >= 1, "num_beams", options.num_beams, "at least 1");
  require(options.num_return_sequences >= 1 && options.num_return_sequences <= options.num_beams,
          "num_return_sequences", options.num_return_sequences,
          "1 to num_beams = " + std::to_string(options.num_beams));
  require(options.max_length >= 1, "max_length", options.max_length, "at least 1 (the start token counts)");
  require(options.min_length >= 0, "min_length", options.min_length, "at least 0");
  require(options.start_id >= 0, "start_id", options.start_id, "at least 0");
  for (const int32_t eos : options.eos_ids) require(eos >= 0, "eos_ids", eos, "ids of at least 0");
  // Beyond it the divisor of some length would be infinite or zero in float32.
  if (!(std::fabs(options.length_penalty) * std::log(static_cast<double>(options.max_length)) <= 87.0)) {
    throw std::invalid_argument("length_penalty is " + std::to_string(options.length_penalty) +
                                "; expected a number whose power of max_length is finite in float32");
  }
}

float length_divisor(int64_t length, double length_penalty) {
  if (length == 0) return 1.0F;
  return static_cast<float>(std::pow(static_cast<double>(length), length_penalty));
}

}  // namespace fastseq
