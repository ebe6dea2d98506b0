// Values of a JSON body, read strictly: each knows where it stands, so that every error can name it.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/submission/json_body.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::submission {

namespace json = boost::json;

struct Place {
    const json::value* value = nullptr;
    std::string path;  // "recipients[3].to"
};

Place member_of(const Place& object, std::string_view name);
Place item_of(const Place& list, std::size_t index);
Error wrong(const Place& place, std::string_view what);

Result<std::string> text_of(const Place& place);
// A text, number or boolean as a text; null is the empty one.
Result<std::string> scalar_of(const Place& place);
Result<std::int64_t> number_of(const Place& place);
Result<bool> flag_of(const Place& place);
Result<WallTime> time_of(const Place& place);
Result<std::string> base64_of(const Place& place);
// A text, or a list of them.
Result<std::vector<std::string>> texts_of(const Place& place);
// "Shop <shop@example.com>", {"address": …, "name": …}.
Result<NamedAddress> address_of(const Place& place);
// One of them, or a list.
Result<std::vector<NamedAddress>> addresses_of(const Place& place);
// {"name": value, …}
Result<std::vector<std::pair<std::string, std::string>>> pairs_of(const Place& place);
Result<MergeVariables> variables_of(const Place& place);

// A member that an object may have. Members with the same `take` say the same: one of them may be given.
template <class T>
struct Member {
    std::string_view name;
    Status (*take)(T& into, const Place& place);
};

Error unknown_member(const Place& place);
Error said_twice(const Place& place, std::string_view other);

template <class T>
Status take_members(T& into, const Place& object, std::span<const Member<T>> members) {
    if (!object.value->is_object()) return wrong(object, "must be an object");
    std::vector<const Member<T>*> taken;
    for (const auto& entry : object.value->get_object()) {
        const std::string_view name(entry.key().data(), entry.key().size());
        const Place place = member_of(object, name);
        const auto member = std::find_if(members.begin(), members.end(), [name](auto& m) { return m.name == name; });
        if (member == members.end()) return unknown_member(place);
        if (place.value->is_null()) continue;  // as if it were not there
        if (place.value->is_array() && place.value->get_array().size() > kMaxJsonItems) {
            return wrong(place, "has more than " + std::to_string(kMaxJsonItems) + " items; split it into several");
        }
        for (const Member<T>* other : taken) {
            if (other->take == member->take) return said_twice(place, other->name);
        }
        taken.push_back(&*member);
        if (Status done = member->take(into, place); !done) return done;
    }
    return {};
}

}  // namespace postfleet::submission
