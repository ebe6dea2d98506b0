// MediaType: the value of a Content-Type field, as far as structure needs it (RFC 2045 §5.1).
//
//   multipart/mixed; boundary="a b"   type "multipart", subtype "mixed", boundary "a b"
//
// Comments are skipped. What does not parse is text/plain without parameters, as RFC 2045 §5.2 wants it.
// Threads: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::mime {

struct MediaType {
    std::string type = "text", subtype = "plain";  // lower case
    std::string boundary;                          // without its quotes; empty: none

    bool is(std::string_view a_type, std::string_view a_subtype) const {
        return type == a_type && subtype == a_subtype;
    }
};

MediaType parse_media_type(std::string_view value);

}  // namespace postfleet::mime
