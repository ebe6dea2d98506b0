#include "postfleet/mime/received.hpp"

namespace postfleet::mime {

void append_received(std::string& out, const ReceivedFacts& facts) {
    constexpr std::size_t kFixedOctets = 64;  // all the words between the facts
    out.reserve(out.size() + kFixedOctets + facts.hello_name.size() + facts.client_literal.size() + facts.by.size() +
                facts.protocol.size() + facts.id.size() + facts.only_recipient.size() + facts.date.size() +
                facts.tls.size());
    out.append("Received: ");
    if (!facts.hello_name.empty()) {
        out.append("from ").append(facts.hello_name).append(" (").append(facts.client_literal).append(")\r\n\t");
    }
    out.append("by ").append(facts.by).append(" with ").append(facts.protocol);
    if (!facts.tls.empty()) out.append("\r\n\t(").append(facts.tls).append(")");
    out.append(" id ").append(facts.id);
    if (!facts.only_recipient.empty()) out.append("\r\n\tfor <").append(facts.only_recipient).append(">");
    out.append(facts.only_recipient.empty() ? ";\r\n\t" : "; ").append(facts.date).append("\r\n");
}

}  // namespace postfleet::mime
