#include "postfleet/mail/reply.hpp"

#include <fmt/format.h>

namespace postfleet {

std::string EnhancedStatus::to_string() const {
    return klass == 0 ? std::string() : fmt::format("{}.{}.{}", klass, subject, detail);
}

std::string Reply::to_string() const {
    if (code == 0) return text;
    std::string line = fmt::format_int(code).str();
    for (const std::string& part : {enhanced.to_string(), text}) {
        if (part.empty()) continue;
        line += ' ';
        line += part;
    }
    return line;
}

}  // namespace postfleet
