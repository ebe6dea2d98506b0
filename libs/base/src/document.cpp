#include "postfleet/base/document.hpp"

#include <fmt/format.h>

namespace postfleet {

std::string Origin::to_string() const {
    if (line == 0) return file;
    if (column == 0) return fmt::format("{}:{}", file, line);
    return fmt::format("{}:{}:{}", file, line, column);
}

}  // namespace postfleet
