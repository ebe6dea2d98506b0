#include "load_message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace postfleet::tools {

namespace {

constexpr std::string_view kPlaceholder = "%d";
constexpr std::string_view kEnd = "\r\n.\r\n";

std::shared_ptr<const std::string> make_body(std::size_t octets) {
    constexpr std::string_view kText = "The quick brown fox jumps over the lazy dog and runs on to the next line";
    auto body = std::make_shared<std::string>();
    body->reserve(octets + 100);
    for (unsigned line = 0; body->size() < octets; ++line) {
        fmt::format_to(std::back_inserter(*body), "{:04} {}\r\n", line % 10'000, kText);
    }
    return body;
}

}  // namespace

AddressTemplate::AddressTemplate(std::string_view text, std::uint64_t users, std::uint64_t domains)
    : users_(std::max<std::uint64_t>(users, 1)), domains_(std::max<std::uint64_t>(domains, 1)) {
    const std::size_t at = std::min(text.rfind('@'), text.size());
    std::string_view local = text.substr(0, at);
    std::string_view domain = text.substr(at);
    const std::size_t user = local.find(kPlaceholder);
    has_user_ = user != std::string_view::npos;
    before_user_ = local.substr(0, user);
    if (has_user_) after_user_ = local.substr(user + kPlaceholder.size());
    const std::size_t number = domain.find(kPlaceholder);
    has_domain_ = number != std::string_view::npos;
    after_user_ += domain.substr(0, number);
    if (has_domain_) after_domain_ = domain.substr(number + kPlaceholder.size());
}

void AddressTemplate::append(std::string& out, std::uint64_t user, std::uint64_t domain) const {
    out += before_user_;
    if (has_user_) fmt::format_to(std::back_inserter(out), "{}", user % users_);
    out += after_user_;
    if (has_domain_) fmt::format_to(std::back_inserter(out), "{}", domain % domains_);
    out += after_domain_;
}

MessageMaker::MessageMaker(const LoadOptions& options)
    : options_(options),
      from_(options.from, options.from_users, options.from_domains),
      to_(options.to, options.users, options.domains),
      run_id_(options.run_id) {
    if (run_id_.empty()) run_id_ = fmt::format("{:x}", to_unix_microseconds(wall_clock_now()));
    fixed_header_ = "Date: " + format_rfc5322_date(wall_clock_now()) +
                    "\r\nSubject: load test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n";
    for (const std::string& header : options.headers) fixed_header_ += header + "\r\n";
    fixed_header_ += "\r\n";
    std::uint32_t largest = 0;
    for (const SizeShare& size : options.sizes) {
        total_weight_ += size.weight;
        largest = std::max(largest, size.octets);
    }
    body_ = make_body(largest);
}

void MessageMaker::append_from(std::string& out, std::uint64_t message) const { from_.append(out, message, message); }

void MessageMaker::append_recipient(std::string& out, std::uint64_t message, std::uint32_t recipient) const {
    const std::uint64_t number = message * options_.recipients + recipient;
    to_.append(out, number, options_.spread_recipients ? number : message);
}

std::string MessageMaker::id(std::uint64_t message) const { return fmt::format("{}-{}", run_id_, message); }

std::uint32_t MessageMaker::size_of(std::uint64_t message) const {
    if (options_.sizes.size() == 1) return options_.sizes.front().octets;
    // A fixed shuffle of the numbers, so that sizes mix and a retry has the same size.
    std::uint64_t left = (message * 0x9e3779b97f4a7c15u >> 33) % std::max(total_weight_, 1u);
    for (const SizeShare& size : options_.sizes) {
        if (left < size.weight) return size.octets;
        left -= size.weight;
    }
    return options_.sizes.back().octets;
}

std::array<WritePiece, 3> MessageMaker::content(std::uint64_t message, SteadyTime now, std::string& head) const {
    head.clear();
    fmt::format_to(std::back_inserter(head), "X-Load-Id: {}-{}\r\nX-Load-Sent: {}\r\nMessage-ID: <{}.{}@{}>\r\nFrom: <",
                   run_id_, message, now.time_since_epoch().count(), run_id_, message, options_.helo);
    append_from(head, message);
    head += ">\r\nTo: <";
    append_recipient(head, message, 0);
    head += ">\r\n";
    head += fixed_header_;
    const std::size_t wanted = size_of(message);
    std::size_t body = wanted > head.size() + 2 ? wanted - head.size() - 2 : 0;
    body = std::min(body, body_->size());
    if (body > 0 && (*body_)[body - 1] == '\r') --body;  // never cut a line end in two
    return {WritePiece{head, nullptr}, WritePiece{std::string_view(*body_).substr(0, body), body_},
            WritePiece{kEnd, body_}};
}

}  // namespace postfleet::tools
