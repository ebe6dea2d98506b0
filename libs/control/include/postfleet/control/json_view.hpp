// JsonView: reads members of a JSON value by name, with something sensible where there is none. Whoever takes
// the values themselves includes <boost/json.hpp>.
#pragma once

#include <optional>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace boost::json {
class array;
class value;
}  // namespace boost::json

namespace postfleet::control {

class JsonView final {
public:
    explicit JsonView(const boost::json::value& value) : value_(&value) {}

    std::string text(const char* name) const;
    std::uint64_t count(const char* name) const;
    double number(const char* name) const;
    bool flag(const char* name) const;
    bool has(const char* name) const { return find(name) != nullptr; }
    std::optional<WallTime> time(const char* name) const;
    JsonView object(const char* name) const;                  // an empty one when there is none
    const boost::json::array& array(const char* name) const;  // likewise

    const boost::json::value& value() const { return *value_; }

private:
    const boost::json::value* find(const char* name) const;
    const boost::json::value* value_;
};

Result<boost::json::value> parse_answer(const std::string& json);

}  // namespace postfleet::control
