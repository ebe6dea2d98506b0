// Options: what a message asks for in X-DKIM-Options, as PowerMTA reads it.
//
//   X-DKIM-Options: s=spring; d=example.com; i=@news.example.com; key-list=brands
//
// s= and d= choose among the configured keys that its user and tenant may use; i= sets the identity; key-list= names
// keys that sign nothing else. q= (always dns/txt) is accepted. Threads: a value, a pure function.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet::dkim {

struct Options {
    bool are_given = false;
    std::string selector, domain, identity, key_list;  // empty: not given
};

// Empty text: none are given. Errors name the tag that is wrong.
Result<Options> parse_options(std::string_view text);

}  // namespace postfleet::dkim
