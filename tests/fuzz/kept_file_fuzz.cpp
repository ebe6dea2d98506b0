// The file in which a service keeps what a router told it, as a disk, another program or an older version may leave it: it
// is taken only when it is exactly what was written; and what is in it is checked like what comes over the network.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "kept.hpp"
#include "postfleet/base/require.hpp"
#include "translate.hpp"

using namespace postfleet;
using namespace postfleet::rpc;

namespace {

template <class Message>
void use(const std::string& content) {
    Message message;
    if (!message.ParseFromString(content)) return;
    const auto value = read(message);
    require(value || !value.error().text.empty());
}

}  // namespace

void fuzz_kept_file(std::span<const std::byte> input) {
    const std::string octets(reinterpret_cast<const char*>(input.data()), input.size());
    if (const auto content = content_of_kept(octets)) require(kept_head(*content) + *content == octets);
    const std::string written = kept_head(octets) + octets;
    require(content_of_kept(written) == octets);
    use<v1::ConfigSnapshot>(octets);
    use<v1::OrderChangesMessage>(octets);
    use<v1::SenderGrantMessage>(octets);
    require(!content_of_kept(std::string_view(written).substr(0, written.size() - 1)));
    std::string bent = written;
    char& changed = bent[input.size() * 7 % bent.size()];
    changed = static_cast<char>(changed ^ 1);
    require(!content_of_kept(bent));
}
