// compose: a Draft as a message (RFC 5322, 2045, 2046, 2047, 2183, 2231, 2387).
//
//   multipart/mixed                 only with attachments
//   ├ multipart/alternative         only with text and HTML
//   │ ├ text/plain
//   │ └ multipart/related           only with pictures of the HTML
//   │   ├ text/html
//   │   └ image/png, inline, cid:logo
//   └ application/pdf
//
// A text goes as 7bit where it can, else as quoted-printable, or as base64 where that is shorter; as it stands (8bit)
// where it is to be merged. Attachments go as base64. Lines have at most 76 octets in what is encoded, and at most 998
// otherwise. The same draft and frame give the same octets.
//
// Threads: a pure function. Errors: InvalidArgument, with the field's name, what is wrong and how to mend it.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"
#include "postfleet/mime/encoded_words.hpp"

namespace postfleet::mime {

// What is not the draft's to say, unless its headers do.
struct Frame {
    std::string_view date;        // RFC 5322 §3.3
    std::string_view message_id;  // with its angle brackets
    std::string_view boundary;    // of every multipart a part: letters, digits, "-"; of this message alone
    TextForm form = TextForm::Fixed;
};

Result<std::string> compose(const Draft& draft, const Frame& frame);

}  // namespace postfleet::mime
