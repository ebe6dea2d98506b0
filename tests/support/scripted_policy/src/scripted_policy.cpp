#include "postfleet/support/scripted_policy.hpp"

#include <utility>

#include "postfleet/base/require.hpp"

namespace postfleet::support {

smtp::Decision ScriptedPolicy::by_local_part(std::string_view local_part) const {
    if (local_part.starts_with("refuse")) return smtp::Decision::refuse(550, {5, 7, 1}, "Not allowed");
    if (local_part.starts_with("busy")) return smtp::Decision::refuse(421, {4, 3, 2}, "Busy");
    if (local_part.starts_with("later")) return smtp::Decision::wait();
    return smtp::Decision::accept();
}

smtp::Decision ScriptedPolicy::on_xclient(smtp::XclientRequest&& request) {
    const std::string name = request.name ? request.name->value_or("") : "";
    if (name == "busy") return smtp::Decision::refuse(421, {4, 7, 0}, "Not now");
    if (name == "refuse") return smtp::Decision::refuse(550, {5, 7, 1}, "Not you");
    return smtp::Decision::accept();
}

smtp::Decision ScriptedPolicy::on_auth(smtp::AuthRequest&& request) {
    if (request.mechanism != "TEST") return smtp::Decision::refuse(504, {5, 5, 4}, "Mechanism not offered");
    return request.initial_response ? on_auth_line(*request.initial_response) : smtp::Decision::challenge("");
}

smtp::Decision ScriptedPolicy::on_auth_line(std::string_view line) {
    if (line == "good") return smtp::Decision::accept();
    if (line == "later") return smtp::Decision::wait();
    if (line == "more") return smtp::Decision::challenge("bW9yZQ==");
    if (line == "*") return smtp::Decision::refuse(501, {5, 7, 0}, "Cancelled");
    return smtp::Decision::refuse(535, {5, 7, 8}, "Authentication failed");
}

smtp::Decision ScriptedPolicy::on_mail(smtp::MailRequest&& request) {
    open_ = {};
    open_.reverse_path = request.reverse_path;
    if (request.reverse_path.starts_with("refuse@")) return smtp::Decision::accept();  // that is for RCPT
    if (request.reverse_path.starts_with("refuse-mail@")) return by_local_part("refuse");
    return by_local_part(request.reverse_path);
}

smtp::Decision ScriptedPolicy::on_rcpt(smtp::RcptRequest&& request) {
    smtp::Decision decision = by_local_part(request.mailbox.local_part);
    if (decision.kind == smtp::Decision::Kind::Refuse) return decision;
    std::string& recipient = open_.recipients.emplace_back(request.mailbox.to_string());
    for (const auto& [name, value] : request.variables.entries()) {
        recipient.append(1, ';').append(name).append(1, '=').append(value);
    }
    return decision;
}

smtp::Decision ScriptedPolicy::on_header(std::string& content) {
    later_ = content.find("X-Later:") != std::string::npos;
    if (content.find("X-Refuse:") != std::string::npos) return smtp::Decision::refuse(554, {5, 6, 0}, "Bad header");
    return smtp::Decision::accept();
}

smtp::Decision ScriptedPolicy::on_chunk(SharedOctets chunk, std::uint32_t number) {
    require(chunk->size() == kContentChunkOctets && number == chunk_sizes.size());
    chunk_sizes.push_back(chunk->size());
    open_.content += *chunk;
    return chunks_wait ? smtp::Decision::wait() : smtp::Decision::accept();
}

smtp::Decision ScriptedPolicy::on_end_of_data(smtp::ContentEnd&& end) {
    open_.content += end.last_chunk;
    require(open_.content.size() == end.size_octets);
    std::size_t at = 0;
    for (const MergePart& part : end.parts) {
        const std::string mark = std::to_string(part.number) + ":";
        open_.content.insert(at, mark);
        at += mark.size() + part.size_octets;
    }
    require(end.parts.empty() || at == open_.content.size());
    open_.chunks = end.chunks;
    open_.has_leading_dots = end.has_leading_dots;
    open_.has_eight_bit = end.has_eight_bit;
    messages.push_back(std::exchange(open_, {}));
    return later_ ? smtp::Decision::wait() : smtp::Decision::accept();
}

void ScriptedPolicy::on_abandoned() {
    ++abandoned;
    open_ = {};
}

}  // namespace postfleet::support
