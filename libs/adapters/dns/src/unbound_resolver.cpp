#include "postfleet/dns/unbound_resolver.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::dns {

namespace {

// RFC 1035 §2.3.4; nothing about the characters.
bool may_be_asked(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty() || name.size() > 253) return false;
    const auto labels = split(name, '.');
    return std::all_of(labels.begin(), labels.end(),
                       [](std::string_view label) { return !label.empty() && label.size() <= 63; });
}

std::string normal_form(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    return to_ascii_lower(name);
}

// "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]" and what is no name at all.
std::optional<MxAnswer> answer_without_asking(std::string_view name) {
    if (name.starts_with('[') && name.ends_with(']')) {
        name = name.substr(1, name.size() - 2);
        if (ascii_istarts_with(name, "IPv6:")) name.remove_prefix(5);
    }
    const auto address = IpAddress::parse(name);
    if (!address && may_be_asked(name)) return std::nullopt;
    MxAnswer answer;
    answer.time_to_live = UnboundResolver::kLongestNegativeTtl;
    if (address) {
        answer.kind = MxAnswer::Kind::Found;
        answer.hosts.push_back({0, address->to_literal(), {*address}});
    } else {
        answer.kind = MxAnswer::Kind::NoSuchDomain;
        answer.text = fmt::format("'{}' is not a domain name", printable(name, 80));
    }
    return answer;
}

template <class Record>
RecordAnswer<Record> no_such_name(std::string_view name) {
    RecordAnswer<Record> answer;
    answer.kind = RecordAnswer<Record>::Kind::NoSuchName;
    answer.time_to_live = UnboundResolver::kLongestNegativeTtl;
    answer.text = fmt::format("'{}' is not a domain name", printable(name, 80));
    return answer;
}

// The engine answers in one type; who asked knows which of them it is.
template <class Of>
Completion<Answer> typed(Completion<Of> done) {
    return {done.on, [run = std::move(done.run)](Answer answer) mutable { run(std::get<Of>(std::move(answer))); }};
}

}  // namespace

Result<std::unique_ptr<UnboundResolver>> UnboundResolver::create(const Options& options, Metrics& metrics) {
    auto context = Context::create(options);
    if (!context) return context.error();
    const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) return Error{ErrorKind::ResourceExhausted, fmt::format("eventfd: {}", std::strerror(errno))};
    auto engine = std::make_unique<Engine>(std::move(*context), wake, options, metrics);
    return std::unique_ptr<UnboundResolver>(new UnboundResolver(std::move(engine)));
}

UnboundResolver::UnboundResolver(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
UnboundResolver::~UnboundResolver() = default;

void UnboundResolver::resolve_mx(std::string domain, Completion<MxAnswer> done) {
    if (auto answer = answer_without_asking(domain)) Engine::complete(typed(std::move(done)), std::move(*answer));
    else engine_->submit(Lookup::Kind::Mx, normal_form(domain), typed(std::move(done)));
}

void UnboundResolver::resolve_host(std::string host, Completion<MxAnswer> done) {
    if (auto answer = answer_without_asking(host)) Engine::complete(typed(std::move(done)), std::move(*answer));
    else engine_->submit(Lookup::Kind::Host, normal_form(host), typed(std::move(done)));
}

void UnboundResolver::resolve_tlsa(std::string name, Completion<TlsaAnswer> done) {
    if (may_be_asked(name)) engine_->submit(Lookup::Kind::Tlsa, normal_form(name), typed(std::move(done)));
    else Engine::complete(typed(std::move(done)), no_such_name<TlsaRecord>(name));
}

void UnboundResolver::resolve_txt(std::string name, Completion<TxtAnswer> done) {
    if (may_be_asked(name)) engine_->submit(Lookup::Kind::Txt, normal_form(name), typed(std::move(done)));
    else Engine::complete(typed(std::move(done)), no_such_name<std::string>(name));
}

}  // namespace postfleet::dns
