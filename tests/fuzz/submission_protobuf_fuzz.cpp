// Any body of application/x-protobuf: it is refused with a reason, or becomes a submission that finish() can judge.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/submission/finish.hpp"
#include "postfleet/wire/submission_message.hpp"

using namespace postfleet;

void fuzz_submission_protobuf(std::span<const std::byte> input) {
    auto parsed = wire::parse_submission({reinterpret_cast<const char*>(input.data()), input.size()});
    if (!parsed) {
        require(parsed.error().kind == ErrorKind::InvalidArgument && !parsed.error().text.empty());
        return;
    }
    const auto done = submission::finish(std::move(*parsed), {},
                                         {.now = from_unix_microseconds(1'795'000'000'000'000),
                                          .date = "Sun, 22 Nov 2026 10:11:12 +0000",
                                          .id = "0193",
                                          .hostname = "mx.example"});
    require(done ? !done->recipients.empty() : !done.error().text.empty());
}
